"""`plugins new`: what it writes is a distribution that builds, installs, and passes its own tests."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import pytest

from spark_framework.errors import UserError
from spark_framework.host.discovery import KINDS, InstalledPlugins
from spark_framework.scaffold import new_plugin
from spark_framework.testing.project import Project
from tests.third_party.environments import OFFLINE, PIP, build, run

RUFF = (sys.executable, "-m", "ruff")
NOBODY = InstalledPlugins((), "entrypoints")
FILES = {
    ".github/workflows/test.yml", ".gitignore", "README.md", "pyproject.toml", "src/spark_{kind}_{name}/__init__.py",
    "src/spark_{kind}_{name}/py.typed", "tests/test_{name}.py",
}  # fmt: skip

# -- as generated --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("projects")
    return {kind: new_plugin(kind, "very_first", folder, NOBODY) for kind in KINDS}


@pytest.fixture(scope="module")
def installed(projects: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them, built and installed."""
    wheels = build(projects.values(), tmp_path_factory.mktemp("wheels"))
    site = tmp_path_factory.mktemp("site")
    run([*PIP, "install", *OFFLINE, "--target", site, *wheels])
    return site


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_these(projects, kind):
    folder = projects[kind]
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {name.format(kind=kind, name="very_first") for name in FILES}
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()]
    assert not any(re.search(r"<<|>>", text) for text in texts)


@pytest.mark.parametrize("kind", KINDS)
def test_it_passes_its_own_tests_once_it_is_installed(projects, installed, kind):
    done = run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider"], projects[kind], PYTHONPATH=str(installed))
    passed = re.search(r"(\d+) passed in", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 20
    assert not re.search("skipped|failed|warning", done.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_it_passes_the_check_of_the_command_line(projects, installed, kind):
    command = [sys.executable, "-m", "spark_framework", "plugins", "check", f"{kind}.very_first"]
    done = run(command, PYTHONPATH=str(installed))
    assert f"{kind}.very_first of spark-{kind}-very-first 0.1.0" in done.stdout
    assert ", 0 failed" in done.stdout


def test_they_are_in_good_style(projects):
    for folder in projects.values():
        run([*RUFF, "check", "--no-cache", "."], folder)
        run([*RUFF, "format", "--no-cache", "--check", "."], folder)


def test_they_are_in_good_style_with_the_shortest_and_the_longest_name(tmp_path):
    for kind, name in itertools.product(KINDS, ("z", "w" * 32)):
        folder = new_plugin(kind, name, tmp_path, NOBODY)
        run([*RUFF, "check", "--no-cache", "."], folder)
        run([*RUFF, "format", "--no-cache", "--check", "."], folder)


def test_their_types_are_sound(projects, installed, tmp_path):
    sources = [folder / "src" for folder in projects.values()]
    tests = [folder / "tests" / "test_very_first.py" for folder in projects.values()]
    mypy = (sys.executable, "-m", "mypy", "--config-file", projects["algorithm"] / "pyproject.toml")
    for files in (sources, *([file] for file in tests)):  # the tests share a name, which mypy takes once
        command = [*mypy, "--strict", "--cache-dir", tmp_path / "cache", *files]
        run(command, PYTHONPATH=str(installed))


@pytest.mark.parametrize("kind", KINDS)
def test_the_config_in_its_readme_can_be_used(projects, installed, kind, tmp_path):
    readme = (projects[kind] / "README.md").read_text(encoding="utf-8")
    config = re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)
    assert config is not None
    (tmp_path / "run.yaml").write_text(config[1], encoding="utf-8")
    command = [sys.executable, "-m", "spark_framework", "config", "check", tmp_path / "run.yaml"]
    assert run(command, PYTHONPATH=str(installed)).stdout.endswith(": valid\n")


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("class", "is taken"),
        ("none", "is taken"),  # its class would be None
        ("tool", "is taken"),  # its class would be Tool, which the module imports
        ("mapping", "is taken"),
        ("tensor", "is taken"),
        ("think", "is taken"),
        ("answer", "is taken"),
        ("calculator", r"spark-framework .* offers tool\.calculator already"),
        ("word-count", "like word_count"),
        ("WordCount", "like word_count"),
        ("Class", "a letter first$"),
        ("word count", "like word_count"),
        ("2words", "like words"),
        ("_words", "like words"),
        ("words_", "like words"),
        ("two__words", "like two_words"),
        ("Wörter", "like w_rter"),
        ("", "a letter first$"),
        ("../words", "like words"),
        ("words\n", "like words"),
        ("w" * 33, "1 to 32"),
        ("-x", "required|like x"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_line(tmp_path, name, problem):
    done = Project(tmp_path).command("plugins", "new", "tool", name, "--to", tmp_path)
    assert done.code == 2
    assert re.search(problem, done.err.strip())
    assert name.startswith("-") or done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    mine = tmp_path / "spark-tool-words" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    done = Project(tmp_path).command("plugins", "new", "tool", "words", "--to", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "spark-tool-words is there already" in done.err
    assert list(tmp_path.rglob("*")) == [mine.parent, mine]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = Project(tmp_path).command("plugins", "new", "tool", "words", "--to", tmp_path / "file")
    assert done.code == 2
    assert "choose another folder with --to" in done.err


def test_the_place_of_a_disabled_one_can_be_taken(tmp_path):
    argv = ("plugins", "new", "tool", "calculator", "--to", tmp_path)
    assert Project(tmp_path).command("-p", "no:tool.calculator", *argv).code == 0
    assert (tmp_path / "spark-tool-calculator").is_dir()


def test_it_may_be_written_again_while_it_is_installed(tmp_path, fake_distribution):
    fake_distribution("spark-tool-words", {"tool.words": "spark_tool_words"})
    assert Project(tmp_path).command("plugins", "new", "tool", "words", "--to", tmp_path).code == 0


def test_the_command_says_what_was_written_and_what_comes_next(tmp_path):
    done = Project(tmp_path).command("plugins", "new", "judge", "harsh", "--to", tmp_path)
    assert (done.code, done.err) == (0, "")
    first, *files, last = done.out.splitlines()
    assert first == str(tmp_path / "spark-judge-harsh")
    assert {line.strip() for line in files} == {name.format(kind="judge", name="harsh") for name in FILES}
    assert last == f"next: cd {first} && pip install -e '.[dev]' && pytest"


def test_there_is_no_sixth_kind(tmp_path):
    with pytest.raises(UserError, match=r"no kind 'policy': choose one of algorithm, judge, reward, selector, tool"):
        new_plugin("policy", "mine", tmp_path, NOBODY)
