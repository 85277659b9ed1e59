"""Fixtures for tests of plugins. pytest imports this file at startup, so it imports almost nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..contracts.components import Component
    from ..host.manager import Host
    from .project import Project

FakeDistribution = Callable[..., Path]


@pytest.fixture
def spark_component(request: pytest.FixtureRequest) -> Component:
    """The component under test: the author's fixture, under one name for all kinds."""
    component: Component = request.getfixturevalue(request.cls.subject)
    return component


@pytest.fixture
def spark_host() -> Iterator[Host]:
    """A fresh host, which is the current one during the test. Installed plugins are listed at the first use."""
    from ..host.manager import Host, using_host

    with using_host(Host()) as host:
        yield host


@pytest.fixture
def fake_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDistribution]:
    """`fake_distribution(name, entries, modules, version="1.0", group="spark_framework.v1")`: installed for one test.

    `entries` maps entry names to targets, or is the complete text of entry_points.txt. `modules` maps names to source.
    Every distribution gets a folder of its own at the front of `sys.path`; the folder is returned.
    """
    made: set[str] = set()

    def make(
        name: str,
        entries: dict[str, str] | str,
        modules: dict[str, str] | None = None,
        version: str = "1.0",
        group: str = "spark_framework.v1",
    ) -> Path:
        folder = tmp_path / f"site{len(list(tmp_path.glob('site*')))}"
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        if isinstance(entries, dict):
            entries = "\n".join([f"[{group}]", *(f"{entry} = {target}" for entry, target in entries.items())])
        (info / "entry_points.txt").write_text(entries, encoding="utf-8")
        for module, source in (modules or {}).items():
            (folder / f"{module}.py").write_text(dedent(source), encoding="utf-8")
            made.add(module)
        monkeypatch.syspath_prepend(folder)
        return folder

    yield make
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture
def spark_project(tmp_path: Path) -> Callable[..., Project]:
    """`spark_project(**changes)`: a folder with a small config, in which commands can be run without any model.

    `changes` are top-level keys of the config, such as `judge={"use": "mine", "model": "small"}`.
    """

    def make(**changes: Any) -> Project:
        from .project import new_project

        return new_project(tmp_path / f"project{len(list(tmp_path.glob('project*')))}", changes)

    return make
