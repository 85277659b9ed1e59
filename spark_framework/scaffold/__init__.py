"""A new plugin: a complete distribution, written from the files in `template`."""

from __future__ import annotations

import keyword
import re
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from .. import api
from ..errors import UserError
from ..host.discovery import KINDS, OWN_DISTRIBUTION, InstalledPlugins
from ..records import ANSWER, THINK
from ..util.files import new_folder

MOST = 32
"""Characters of a name: lines of the template stay short enough for any of them."""
FILES = {
    "pyproject.toml": "pyproject.toml.in",
    "README.md": "README.md.in",
    ".gitignore": "gitignore.in",
    ".github/workflows/test.yml": "test.yml.in",
    "src/<<package>>/__init__.py": "<<kind>>/module.py.in",
    "src/<<package>>/py.typed": None,
    "tests/test_<<name>>.py": "<<kind>>/test.py.in",
}
"""What is written, and from which file of the template; None is an empty file."""

_USE = {
    "algorithm": "stages: {NAME: {data: explore, baseline: 0.5}}",
    "judge": "judge: {use: NAME, short: 60}",
    "reward": "reward: {process: [process_penalty, {use: NAME, penalty: 0.5}]}",
    "selector": "selector: {use: NAME, limit: 20}",
    "tool": "tools: [calculator, encyclopedia, {use: NAME, shortest: 2}]",
}
"""How a config names the template's component, with its setting."""


def new_plugin(kind: str, name: str, to: Path, installed: InstalledPlugins) -> Path:
    """Write a distribution with one component into a new folder below `to`, and return that folder.

    Args:
        kind: algorithm, judge, reward, selector or tool.
        name: the component's name, in lower-case letters, digits and underscores.
        inventory: what is installed; two distributions with one name would be in conflict.

    Raises:
        UserError: the kind or the name cannot be used, or the folder is there already or cannot be written.
    """
    words = _words(kind, name)
    for entry in installed.entry_points:
        if entry.key == f"{kind}.{name}" and entry.state != "disabled" and entry.distribution != words["distribution"]:
            raise UserError(
                f"{entry.distribution} {entry.version} offers {entry.key} already, and the two would be in conflict: "
                f"choose another name, or pass -p no:{entry.key} if yours replaces it"
            )
    folder = to / words["distribution"]
    try:
        with new_folder(folder) as part:
            for target, source in FILES.items():
                path = part / _filled(target, words)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(_filled(_template(_filled(source, words)), words) if source else "", encoding="utf-8")
            if folder.exists() or folder.is_symlink():
                raise UserError(f"{folder} is there already: choose another name, or another folder with --to")
    except OSError as exc:
        raise UserError(f"{folder} cannot be written ({exc.strerror}): choose another folder with --to") from exc
    return folder


def _words(kind: str, name: str) -> dict[str, str]:
    """Values of the template's placeholders."""
    if kind not in KINDS:
        raise UserError(f"there is no kind {kind!r}: choose one of {', '.join(KINDS)}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name, re.ASCII) or len(name) > MOST:
        near = re.sub(r"\W+|_+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name), flags=re.ASCII)
        near = near.lower().strip("_0123456789")[:MOST].strip("_")
        raise UserError(
            f"{name[:80]!r} cannot be a component's name: write 1 to {MOST} small letters, digits and single "
            f"underscores, a letter first{f', like {near}' if near and not _is_taken(near) else ''}"
        )
    if _is_taken(name):
        raise UserError(f"the name {name} is taken by Python or by the framework: choose another")
    package = f"spark_{kind}_{name}"
    return {
        "kind": kind,
        "name": name,
        "class": _class_name(name),
        "package": package,
        "distribution": package.replace("_", "-"),
        "pin": _pin(),
        "use": _USE[kind].replace("NAME", name),
    }


def _is_taken(name: str) -> bool:
    """Whether the name, or its class name, has another meaning in the files of the template."""
    cls = _class_name(name)
    reserved = keyword.iskeyword(name) or keyword.iskeyword(cls) or name in (THINK, ANSWER)
    return reserved or cls in {"Field", "Mapping", "Sequence", "Tensor", *api.__all__}


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _pin() -> str:
    """The versions that a plugin written today may rely on: up to the next minor one."""
    try:
        major, minor = re.findall(r"\d+", version(OWN_DISTRIBUTION))[:2]
    except (PackageNotFoundError, ValueError):
        raise UserError(f"{OWN_DISTRIBUTION} is not installed: run `pip install -e .` in the checkout") from None
    return f"{OWN_DISTRIBUTION}>={major}.{minor},<{major}.{int(minor) + 1}"


def _template(name: str) -> str:
    return files(__name__).joinpath("template", name).read_text(encoding="utf-8")


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"<<(\w+)>>", lambda mark: words[mark[1]], text)
