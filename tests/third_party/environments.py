"""Real distributions: built into wheels, installed, and used by processes of their own. Nothing is downloaded."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
OFFLINE = ("--no-index", "--no-deps")
Done: TypeAlias = "subprocess.CompletedProcess[str]"


def build(projects: Iterable[Path], into: Path) -> list[Path]:
    """The wheels of some projects."""
    options = ("--no-build-isolation", "--wheel-dir", str(into))
    run([*PIP, "wheel", *OFFLINE, *options, *map(str, projects)])
    return sorted(into.glob("*.whl"))


def run(command: Iterable[str | Path], cwd: Path | None = None, check: bool = True, **variables: str) -> Done:
    """What a command printed. It finds nothing of this checkout by accident."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    argv = [str(part) for part in command]
    done = subprocess.run(
        argv, cwd=cwd, env={**environment, **variables}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0 or not check, f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


class Environment:
    """A fresh virtual environment. It has the dependencies of this one, and not the checkout."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder)
        self.python = folder / "bin" / "python"
        paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
        self.site = Path(paths["purelib"])
        mine = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        # A folder named in a .pth file is searched, but its own .pth files, of editable installs, are not read.
        (self.site / "dependencies.pth").write_text("\n".join(mine), encoding="utf-8")

    def pip(self, *argv: str | Path) -> None:
        """Run `pip ARGV…` on this environment."""
        run([*PIP, "--python", self.python, *argv])

    def install(self, *wheels: Path) -> None:
        """Install wheels as they are."""
        self.pip("install", *OFFLINE, *wheels)

    def command(self, *argv: str | Path, cwd: Path | None = None, check: bool = True, **variables: str) -> Done:
        """Run `spark-framework ARGV…`."""
        return run([self.python.with_name("spark-framework"), *argv], cwd, check, **variables)
