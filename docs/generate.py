"""Write the reference pages and the tables of other pages from the code: python docs/generate.py

All are committed; `tests/docs/test_generated.py` asserts that they are up to date.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import textwrap
import tomllib
import types
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from api_page import api_parts
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from spark_framework import cli
from spark_framework.config import policy, rollout
from spark_framework.config import run as config
from spark_framework.contracts import hookspecs, stage
from spark_framework.contracts.algorithm import Algorithm
from spark_framework.contracts.components import Component, Tool, Toolset
from spark_framework.host.component_spec import ComponentSpec
from spark_framework.host.discovery import GROUP, OWN_DISTRIBUTION
from spark_framework.host.manager import _HOOKS_AND_BASES, Host, import_target
from spark_framework.questions import MmluProConfig, PracticeConfig
from spark_framework.training.algorithm import TreeAlgorithm

REFERENCE = Path(__file__).parent / "reference"
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
NOTE = "<!-- Written by docs/generate.py from the code: do not edit. -->"

MEANINGS = {
    "seed": "The seed of the run. Every random choice has its own seed, derived from this one and a name.",
    "policy": "Who writes the actions: a section with `use: local` or `use: server`.",
    "replies": "Stored replies of tools that use the network.",
    "questions": "Where the questions come from: `practice`, `mmlu_pro`, or a section with `use` and settings.",
    "tools": "The actions besides `think`, in order.",
    "judge": "Who scores the candidates.",
    "judging": "Retries, budget and storage for judges that cost something.",
    "selector": "Who chooses among the scored candidates.",
    "rollouts": "Rounds of rollouts. They never share questions.",
    "stages": "Training stages by name. A stage that is named after its kind need not repeat it.",
    "reward": "The terms of the step reward.",
    "plugins": "Which plugins may load, and what tools may do.",
    "evaluation": "How stages are evaluated.",
    "policy.use": "Which kind of policy this is.",
    "policy.device": "`cuda`, `cpu` …; `auto` takes a GPU if there is one.",
    "policy.format": "How actions are written: `Action: … Input: …`, or one JSON object a turn.",
    "policy.model": "The model's name on the server.",
    "policy.base_url": "The server's address, as in `http://localhost:8000/v1`.",
    "policy.thoughts": "The policy writes a thought before each tool input.",
    "policy.max_new_tokens": "Limit for one reply.",
    "policy.concurrency": "Maximum number of concurrent requests.",
    "questions.use": "Which question set this is.",
    "rollouts[].name": "The round's name, unique in the run.",
    "rollouts[].questions": "How many training questions the round takes.",
    "rollouts[].temperature": "Temperature of the policy. 0 is greedy, also for the choice to answer.",
    "reward.diversity": "Terms with the weight rho.",
    "reward.process": "Terms with the weight 1 - rho.",
    "evaluation.batch_size": "Questions that share one key-value cache.",
}
"""For keys that the code itself does not describe."""


# -- cli.md --------------------------------------------------------------------------------------------------------


def cli_page() -> str:
    """Every command with its options."""
    parser = cli.parser()
    parts = [
        "# Command line",
        NOTE,
        f"{parser.description} `python -m spark_framework` is the same program.",
        table(
            ("exit code", "meaning"),
            [
                ("0", "done"),
                ("1", "a check failed, or the tool of `tools try` returned an error"),
                ("2", "one line on standard error says what is wrong and how to fix it"),
                ("130", "interrupted"),
            ],
        ),
        "## Before or after every command",
        _options(parser),
    ]
    for name, text, command in _commands(parser):
        usage = " ".join(["spark-framework", name, *map(_placeholder, _arguments(command))])
        parts += [f"## {name}", f"{text[:1].upper()}{text[1:]}.", f"```\n{usage}\n```", _options(command)]
    return _page(parts)


def _commands(parser: argparse.ArgumentParser, before: str = "") -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                inner = list(_commands(command, f"{before}{name} "))
                yield from inner or [(f"{before}{name}", texts[name], command)]


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a command takes beyond help and -p, which every command takes."""
    skipped = (argparse._HelpAction, argparse._SubParsersAction)
    arguments = [a for a in parser._actions if not isinstance(a, skipped) and a.dest != "disable_too"]
    return sorted(arguments, key=lambda a: bool(a.option_strings))


def _placeholder(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {action.metavar or '{' + ','.join(action.choices or ()) + '}'}"
    text = f"{action.option_strings[0]}{value}" if action.option_strings else str(action.metavar)
    return text if action.required else f"[{text}]"


def _options(parser: argparse.ArgumentParser) -> str:
    rows = [(f"`{_placeholder(action).strip('[]')}`", action.help or "") for action in _arguments(parser)]
    return table(("argument", "meaning"), rows) if rows else ""


# -- config.md -----------------------------------------------------------------------------------------------------

SECTIONS: tuple[tuple[str, str, type[BaseModel], str], ...] = (
    ("The run", "", config.RunConfig, ""),
    ("policy (local)", "policy", policy.LocalPolicyConfig, "`use: local`"),
    ("policy (server)", "policy", policy.ServerPolicyConfig, "`use: server`"),
    ("questions (practice)", "questions", PracticeConfig, "`use: practice`"),
    ("questions (mmlu_pro)", "questions", MmluProConfig, "`use: mmlu_pro`"),
    ("rollouts", "rollouts[]", rollout.RoundConfig, "A list of rounds."),
    (
        "stages",
        "stages.NAME",
        stage.FilteredStageConfig,
        "A mapping of names to stages. `kind` names the algorithm; every algorithm adds settings of its own "
        "([catalogue](catalogue.md)). The `require_*` keys belong to algorithms that learn from a round.",
    ),
    ("stages: lora", "stages.NAME.lora", stage.LoraConfig, "Other keys are passed on to PEFT's `LoraConfig`."),
    ("stages: critic", "stages.NAME.critic", stage.CriticConfig, "Of algorithms with a value function."),
    ("stages: alarm", "stages.NAME.alarm", stage.AlarmConfig, "Of algorithms with a KL penalty."),
    ("reward", "reward", rollout.RewardSection, ""),
    ("evaluation", "evaluation", rollout.EvaluationSection, ""),
    ("plugins", "plugins", config.PluginSection, ""),
)


def config_page() -> str:
    """Every key of a config file."""
    parts = [
        "# Config files",
        NOTE,
        "A config is a YAML mapping. An unknown key is an error, never ignored. `spark-framework config schema` prints "
        "the same as a JSON schema, and `--set path.to.key=VALUE` changes one key for one command; list entries go by "
        "number, as in `rollouts.0.questions=20`.",
        "A file may build on another one: `base: paper` names a preset, `base: other.yaml` a file next to it. "
        "Mappings are merged key by key, and the file's own keys win; a list replaces the other list as a whole. "
        "A component with another `use` keeps none of the other one's settings. `run.json` stores the merged config.",
        "A *component* is a plugin's name, or a mapping with `use: NAME` and its settings "
        "([catalogue](catalogue.md)); reward terms also take `weight` (default 1). `use` may be `NAME`, "
        "`DISTRIBUTION/NAME`, or `MODULE:CLASS` for a class without an entry point.",
    ]
    for title, path, model, text in SECTIONS:
        parts += [f"## {title}", text, fields(model, path)]
    return _page(parts)


NO_SETTINGS = "No settings of its own."


def fields(model: type[BaseModel], path: str = "", leave_out: Container[str] = ()) -> str:
    """A model's keys as a table. ValueError where one has no meaning anywhere and a path was given."""
    written = _attribute_docstrings(model)
    rows = []
    for name, field in model.model_fields.items():
        if name in leave_out:
            continue
        at = f"{path}.{name}" if path else name
        meaning = field.description or written.get(name) or MEANINGS.get(at, "")
        if not meaning and model.__module__.startswith("spark_framework"):
            raise ValueError(f"{at} has no description: write one in the code, or in MEANINGS")
        rows.append((f"`{name}`", _type(field.annotation, field.metadata), _default(field), " ".join(meaning.split())))
    return table(("key", "type", "default", "meaning"), rows) if rows else NO_SETTINGS


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Texts below fields, for models that do not ask pydantic to read them."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, text in zip(body.body, body.body[1:], strict=False):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if is_text and isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found[statement.target.id] = inspect.cleandoc(str(text.value.value))
    return found


def _type(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        text = _type(inner[0], inner[1:])
    elif origin is Literal:
        text = " or ".join(f"`{value}`" for value in inner)
    elif origin in (Union, types.UnionType):
        text = " or ".join(_type(part) for part in inner)
    elif origin in (tuple, list):
        text = f"list of {_type(inner[0])}"
    elif origin is dict:
        text = f"mapping of {_type(inner[0])} to {_type(inner[1])}"
    elif annotation is type(None):
        text = "`null`"
    elif annotation is ComponentSpec:
        text = "component"
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        text = "section"
    else:
        names = {
            str: "text",
            int: "whole number",
            float: "number",
            bool: "`true` or `false`",
            Path: "path",
            Any: "anything",
        }
        text = names[annotation]
    return ", ".join([" or ".join(dict.fromkeys(text.split(" or "))), *_limits(metadata)])


def _limits(metadata: Iterable[Any]) -> Iterator[str]:
    for limit in metadata:
        match limit:
            case annotated_types.Ge(least):
                yield f"≥ {least:g}"
            case annotated_types.Gt(bound):
                yield f"> {bound:g}"
            case annotated_types.Le(most):
                yield f"≤ {most:g}"
            case annotated_types.Lt(bound):
                yield f"< {bound:g}"
            case annotated_types.MinLen(least):
                yield f"at least {least} long"
            case annotated_types.MaxLen(most):
                yield f"at most {most} long"
            case _ if pattern := getattr(limit, "pattern", None):
                yield f"`{pattern}`"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        use = getattr(value, "use", None)
        return f"`{use}`" if use else "its defaults"
    if isinstance(value, tuple) and any(isinstance(part, BaseModel) for part in value):
        return "one, with its defaults"
    if isinstance(value, bool) or value is None:
        return f"`{ {True: 'true', False: 'false', None: 'null'}[value] }`"
    if isinstance(value, (tuple, list)):
        return f"`[{', '.join(map(str, value))}]`"
    return "empty" if value == "" else f"`{value}`"


# -- hooks.md ------------------------------------------------------------------------------------------------------


def hook_names() -> list[str]:
    """All hooks, in the order of `hookspecs.py`."""
    return [name for name in vars(hookspecs) if name.startswith("spark_")]


def hook_heading(name: str) -> str:
    """The heading that a hook has in hooks.md: its name and arguments."""
    return f"## {name}({', '.join(inspect.signature(getattr(hookspecs, name)).parameters)})"


def hooks_page() -> str:
    """Every hook with its signature."""
    parts = [
        "# Hooks",
        NOTE,
        "In the order in which a run calls them. An implementation is a function of a plugin's module, marked with "
        "`@hookimpl` from `spark_framework.api`; it may leave out arguments that it does not need. A module is "
        "imported when a config selects one of its components, and all its hooks are active from then on. A hook with "
        "an unknown name or argument is an error.",
    ]
    users = _users()
    for name in hook_names():
        spec = getattr(hookspecs, name)
        signature = str(inspect.signature(spec)).replace("'", "")
        first = getattr(spec, f"{hookspecs.PROJECT}_spec")["firstresult"]
        offers = name in ("spark_algorithms", "spark_tools", "spark_judges", "spark_selectors", "spark_reward_terms")
        kind = "first result" if first else "offer" if offers else "collect" if name == "spark_metrics" else "observer"
        parts += [
            hook_heading(name),
            f"*{KINDS[kind]}*",
            f"```python\ndef {name}{signature}: ...\n```",
            _paragraphs(spec),
            f"Implemented by: {users.get(name) or 'nothing that ships with the framework'}.",
        ]
    return _page(parts)


KINDS = {
    "offer": "Offer: asked of one plugin at a time.",
    "first result": "First result: plugins are asked in turn until one does not return None; the framework comes last.",
    "observer": "Observer: the result is ignored. If it raises, the error is logged once and the run goes on.",
    "collect": "Collect: every plugin's answer is used. If one raises, its figures are left out and the run goes on.",
}


def _users() -> dict[str, str]:
    from spark_framework.host import hooks as calls

    found: dict[str, list[str]] = {}
    for name in hook_names():
        if hasattr(calls._DefaultHooks, name):
            found.setdefault(name, []).append("the framework (last)")
    for entry in Host().installed.entry_points:
        if entry.distribution == OWN_DISTRIBUTION:
            for name in vars(import_target(entry.target)):
                if name in hook_names():
                    found.setdefault(name, []).append(f"`{entry.key}`")
    return {name: ", ".join(users) for name, users in found.items()}


def _paragraphs(thing: Any) -> str:
    """A docstring whose `When:`, `Return:` and `If you raise:` stand on lines of their own."""
    text = inspect.getdoc(thing) or ""
    for word in ("When:", "Return:", "If you raise:"):
        text = text.replace(f" {word}", f"\n{word}")
    return "\n".join(f"* {line}" if line.startswith(("When:", "Return:", "If you")) else line for line in _lines(text))


def _lines(text: str) -> list[str]:
    """Lines, with the first one set apart from what follows."""
    first, *others = [line for line in text.splitlines() if line.strip()]
    return [first, "", *others] if others else [first]


# -- catalogue.md --------------------------------------------------------------------------------------------------


def catalogue_page() -> str:
    """Every component that ships with the framework."""
    parts = [
        "# Catalogue",
        NOTE,
        "The components that ship with the framework. `spark-framework plugins list` shows all that are installed, "
        "`spark-framework plugins show KIND.NAME` one of them.",
    ]
    host = Host()
    entry_points = [entry for entry in host.installed.entry_points if entry.distribution == OWN_DISTRIBUTION]
    loaded = [host.component_class(entry.kind, f"{entry.distribution}/{entry.name}").cls for entry in entry_points]
    rows = [
        (f"[{entry.key}](#{entry.kind}{entry.name})", entry.distribution, _first_line(cls))
        for entry, cls in zip(entry_points, loaded, strict=True)
    ]
    parts.append(table(("component", "distribution", "what it does"), rows))
    for entry, cls in zip(entry_points, loaded, strict=True):
        parts += [f"## {entry.key}", inspect.getdoc(cls) or ""]
        if issubclass(cls, Toolset):
            parts.append("Stands for several tools, which become known when it is prepared.")
        if issubclass(cls, Tool):
            parts += [
                f"For the model: “{_escaped(cls.description)}”",
                f"Needs: {', '.join(sorted(cls().needs)) or 'nothing'}.",
            ]
            parts += ["Arguments:", fields(cls.Args)]
        if getattr(cls, "uses_gold", False):
            parts.append("Reads the stored answer (`uses_gold`).")
        parts += settings(cls)
    return _page(parts)


def settings(cls: type[Component]) -> Iterator[str]:
    """A component's settings; an algorithm's without those that all stages share."""
    shared = stage.FilteredStageConfig.model_fields if issubclass(cls, Algorithm) else {}
    own = fields(cls.Config, leave_out=shared)
    yield "Settings:" if own != NO_SETTINGS else ""
    yield own
    for name, field in cls.Config.model_fields.items():
        section = field.annotation
        inner = isinstance(section, type) and issubclass(section, BaseModel)
        if inner and section.__module__ != stage.__name__ and name not in shared:
            yield f"Section `{name}`:"
            yield fields(section)


def _first_line(cls: type) -> str:
    return " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())


# -- tables in pages that are written by hand -----------------------------------------------------------------------

TABLE = re.compile(
    r"(<!-- ([a-z ]+): written by docs/generate\.py [^>]*-->\n\n).*?(?:\n\n)?(<!-- end of \2 -->)", re.DOTALL
)
WITH_TABLES = (
    "README.md",
    "CONTRIBUTING.md",
    "plugins/README.md",
    "docs/explanation/architecture.md",
    "docs/how-to/write-a-plugin.md",
)
KINDS_OF_PLUGINS = {
    "tool": ("tools", "spark_plugin_tools", "ToolContract"),
    "judge": ("judges", "spark_plugin_judges", "JudgeContract"),
    "selector": ("selectors", "spark_plugin_selectors", "SelectorContract"),
    "reward": ("reward terms", "spark_plugin_rewards", "RewardTermContract"),
    "algorithm": ("algorithms", "spark_plugin_algorithms", "AlgorithmContract"),
}
"""Of each kind: what several are called, the package of those that ship with the framework, and the contract."""


def with_tables(page: str) -> str:
    """The page with the tables between its markers as the code gives them."""
    return TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n\n{found[3]}", page)


def rooms() -> list[tuple[str, ...]]:
    """The layers from high to low, as import-linter checks them. Packages of one layer share an entry."""
    linter = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]
    (layers,) = (contract["layers"] for contract in linter["contracts"] if contract["type"] == "layers")
    return [tuple(layer.split(" | ")) for layer in layers]


def rooms_table() -> str:
    """What each package is for, by its docstring's first line."""
    rows = [(f"`{room}`", _purpose(room)) for layer in rooms() for room in layer]
    return table(("package or module", "what it is for"), rows)


def _purpose(room: str) -> str:
    file = PYPROJECT.parent / "spark_framework" / room
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def components(kind: str) -> list[str]:
    """Names of a kind's components that ship with the framework, in alphabetical order."""
    entry_points = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["entry-points"][GROUP]
    return sorted(key.partition(".")[2] for key in entry_points if key.startswith(f"{kind}."))


def _names(kind: str) -> str:
    return ", ".join(f"`{name}`" for name in components(kind))


def components_table() -> str:
    """The components by kind."""
    rows = [(several, _names(kind)) for kind, (several, _, _) in KINDS_OF_PLUGINS.items()]
    return table(("kind", "components"), rows)


def packages_table() -> str:
    """The components by package."""
    rows = [(f"`{package}`", several, _names(kind)) for kind, (several, package, _) in KINDS_OF_PLUGINS.items()]
    return table(("package", "kind", "components"), rows)


def kinds_table() -> str:
    """What a component of each kind derives from, how it is found, and how it is tested."""
    rows = []
    for kind, (_, package, contract) in KINDS_OF_PLUGINS.items():
        hook, bases = _HOOKS_AND_BASES[kind]
        usual = (TreeAlgorithm, *bases) if kind == "algorithm" else bases
        names = " or ".join(f"`{base.__name__}`" for base in usual)
        rows.append((kind, names, f"`{hook}`", f"`{kind}.NAME`", f"`{contract}`", f"`plugins/{package}`"))
    return table(("kind", "base class", "hook", "entry point", "contract to test", "examples"), rows)


TABLES = {
    "components": components_table,
    "kinds": kinds_table,
    "packages": packages_table,
    "rooms": rooms_table,
}


# -- Markdown ------------------------------------------------------------------------------------------------------


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [
        heads,
        tuple("---" for _ in heads),
        *([_escaped(cell).replace("|", "\\|") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """The text without accidental Markdown: stars and angle brackets outside of code are meant as they stand."""
    parts = text.split("`")
    parts[::2] = [part.replace("*", "\\*").replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


PAGES = {
    "api.md": lambda: _page(["# Python API", NOTE, *api_parts()]),
    "catalogue.md": catalogue_page,
    "cli.md": cli_page,
    "config.md": config_page,
    "hooks.md": hooks_page,
}


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")
    for name in WITH_TABLES:
        file = PYPROJECT.parent / name
        file.write_text(with_tables(file.read_text(encoding="utf-8")), encoding="utf-8")
