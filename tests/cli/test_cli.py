"""The command line, in this process: output and exit codes. The pipeline is replaced by one that notes its calls."""

from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_framework.cli import main
from spark_framework.config.run import RunConfig
from spark_framework.host.manager import current_host


@pytest.fixture
def run(capsys):
    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def refused(run):
    """Runs a command that has to end with exit code 2 and one line; returns the line."""

    def refused(*argv: str) -> str:
        code, out, err = run(*argv)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return refused


# -- frame ---------------------------------------------------------------------------------------------------------


def test_help_and_wrong_options(run):
    assert run("--help")[0] == 0
    assert "plugins" in run("--help")[1]
    assert run("plugins", "list", "--help")[0] == 0
    for wrong in ([], ["nonsense"], ["plugins"], ["-p", "judge.fake", "plugins", "list"], ["train", "x"]):
        assert run(*wrong)[0] == 2
    assert run("ladder", "x.yaml", "--seeds", "0")[0] == 2


# -- plugins -------------------------------------------------------------------------------------------------------


def test_plugins_list(run, fake_judge, fake_tool):
    code, out, _ = run("plugins", "list")
    rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert rows[0] == ["kind", "name", "distribution", "version", "state"]
    assert ["judge", "fake", "spark-fake-judge", "1.0", "ready"] in rows
    assert ["tool", "shout", "spark-fake-tool", "1.0", "ready"] in rows
    assert "fake_judge" not in sys.modules


@pytest.mark.parametrize(
    "argv", [("-p", "no:judge.fake", "plugins", "list"), ("plugins", "list", "-p", "no:judge.fake")]
)
def test_disabling_before_and_after_the_command(run, fake_judge, argv):
    rows = [line.split() for line in run(*argv)[1].splitlines()]
    assert ["judge", "fake", "spark-fake-judge", "1.0", "disabled"] in rows


def test_both_places_count(run, fake_judge, fake_tool):
    offers = json.loads(run("-p", "no:judge.fake", "plugins", "list", "--json", "-p", "no:tool.shout")[1])
    states = {offer["kind"] + "." + offer["name"]: offer["state"] for offer in offers}
    assert (states["judge.fake"], states["tool.shout"]) == ("disabled", "disabled")


def test_plugins_list_reports_malformed_metadata(run, fake_distribution):
    fake_distribution("foreign", "no header = here")
    code, _, err = run("plugins", "list")
    assert code == 0
    assert "importlib.metadata" in err


@pytest.mark.parametrize("name", ["fake", "judge.fake", "spark-fake-judge/fake", "spark-fake-judge/judge.fake"])
def test_plugins_show(run, fake_judge, name):
    code, out, _ = run("plugins", "show", name)
    assert code == 0
    assert "judge.fake: from spark-fake-judge 1.0, fake_judge:FakeJudge" in out
    assert "Gives every candidate the same score." in out
    assert ["model", "string", "'small'"] in [line.split() for line in out.splitlines()]


def test_plugins_show_asks_which(refused, fake_distribution, fake_judge):
    fake_distribution("other", {"tool.fake": "x"})
    assert "judge.fake or tool.fake" in refused("plugins", "show", "fake")
    assert "did you mean 'judge.fake'" in refused("plugins", "show", "judgefake")


def test_plugins_show_of_a_disabled_or_unknown_one(refused, fake_judge):
    assert "disabled" in refused("plugins", "show", "fake", "-p", "no:judge.fake")
    assert "did you mean 'fake'" in refused("plugins", "show", "judge.fakee")
    assert "kind.name" in refused("plugins", "list", "-p", "no:fake")


# -- tools ---------------------------------------------------------------------------------------------------------


def test_tools_list_and_show(run, fake_tool, fake_distribution):
    fake_distribution("spark-bad", {"tool.bad": "bad_tool"}, {"bad_tool": "1 / 0"})
    code, out, _ = run("tools", "list")
    assert code == 0
    assert "Writes a text in capitals." in out
    assert "ZeroDivisionError" in out
    code, out, _ = run("tools", "show", "shout")
    assert code == 0
    assert "needs: nothing" in out
    assert ["text", "string", "required"] in [line.split() for line in out.splitlines()]
    assert run("tools", "show", "tool.shout")[1] == out


def test_tools_try(run, refused, fake_tool):
    assert run("tools", "try", "shout", '{"text": "hey", "times": 2}') == (0, "HEY HEY\n", "")
    assert run("tools", "try", "shout", '{"text": ""}') == (1, "error: there is nothing to shout\n", "")
    assert run("tools", "try", "shout", "{}") == (1, "error: argument 'text' is missing\n", "")
    assert "not JSON" in refused("tools", "try", "shout", "{text}")
    assert "JSON object" in refused("tools", "try", "shout", "[1]")
    assert "did you mean 'shout'" in refused("tools", "try", "shoot", "{}")
    assert "tools try NAME JSON" in refused("tools", "try", "shout")
    assert "tools try NAME JSON" in refused("tools", "try")


def test_tools_try_jsonl(run, refused, fake_tool, tmp_path, monkeypatch):
    file = tmp_path / "calls.jsonl"
    file.write_text('{"tool": "shout", "arguments": {"text": "a"}}\n\n{"tool": "shout", "arguments": {}}\n')
    code, out, _ = run("tools", "try", "--jsonl", str(file))
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(a["tool"], a["output"]) for a in answers] == [
        ("shout", "A"),
        ("shout", "error: argument 'text' is missing"),
    ]
    assert all(set(a) == {"tool", "output", "seconds"} and a["seconds"] >= 0 for a in answers)
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"arguments": {}}\n'))
    assert "error: -, line 1: a call is" in run("tools", "try", "--jsonl", "-")[1]
    assert "cannot be read" in refused("tools", "try", "--jsonl", str(tmp_path / "none"))


def test_every_line_of_a_file_gets_an_answer(run, fake_tool, tmp_path):
    file = tmp_path / "calls.jsonl"
    lines = {
        '{"tool": "shout", "arguments": {"text": "a", "times": NaN}}': "error: FILE, line 1: NaN is not a number",
        '{"tool": "shout", "arguments": {"text": "a", "times": 1e999}}': "error: FILE, line 2: the number 1e999 is",
        '{"tool": "shout", "arguments": {"text": "a", "text": "b"}}': "error: FILE, line 3: a key is given twice",
        '{"tool": "shout", "arguments": {"text": "\\ud800"}}': "\ufffd",
        '{"tool": "shout", "arguments": ["text"]}': 'error: FILE, line 5: a call is {"tool": NAME',
        '{"tool": "shout"}': 'error: FILE, line 6: a call is {"tool": NAME',
        "[" * 100_000: "error: FILE, line 7: nested too deeply",
        '{"tool": "nothing", "arguments": {}}': "error: there is no tool 'nothing' (installed: ",
        '{"tool": "shout", "arguments": {"text": "b"}}': "B",
    }
    file.write_text("\n".join(lines))
    code, out, err = run("tools", "try", "--jsonl", str(file))
    assert (code, err) == (0, "")
    answers = [json.loads(line)["output"].replace(str(file), "FILE") for line in out.splitlines()]
    assert [answer.startswith(wanted) for answer, wanted in zip(answers, lines.values(), strict=True)] == [True] * 9


def test_tool_settings_and_permissions(run, refused, fake_distribution):
    fake_distribution("spark-remote", {"tool.remote": "remote_tool"}, {"remote_tool": REMOTE})
    assert "tool.wrod: unknown key; did you mean 'word'?" in refused("tools", "try", "remote", "{}", "--set", "wrod=x")
    assert "remote needs network; add --allow network" in refused("tools", "try", "remote", "{}")
    assert run("tools", "try", "remote", "{}", "--set", "word=hi", "--allow", "network") == (0, "hi 1\n", "")
    assert "word is empty" in refused("tools", "prepare", "remote", "--set", "word=''", "--allow", "network")
    code, out, _ = run("tools", "prepare", "remote", "--allow", "network")
    assert (code, out.splitlines()[0]) == (0, "remote: Says a word from afar.")


REMOTE = """
    from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolError, UserError, hookimpl
    class Remote(Tool):
        name, description, needs = "remote", "Says a word from afar.", frozenset({"network"})
        class Config(ComponentConfig):
            word: str = "hello"
        class Args(ToolArgs):
            text: str = ""
        asked = 0
        def prepare(self):
            if not self.config.word:
                raise UserError("remote: word is empty; set it")
        def call(self, args, context):
            Remote.asked += 1
            if args.text == "busy":
                raise ToolError("busy", transient=True)
            return f"{self.config.word} {Remote.asked}"
    @hookimpl
    def spark_tools(): return [Remote]
"""


def test_replies_of_the_network_are_recorded(run, refused, fake_distribution, tmp_path):
    fake_distribution("spark-remote", {"tool.remote": "remote_tool"}, {"remote_tool": REMOTE})

    def ask(text: str, mode: str) -> tuple[int, str, str]:
        file = tmp_path / "run.yaml"
        replies = {"mode": mode, "file": str(tmp_path / "replies.sqlite")}
        file.write_text(json.dumps({"tools": ["remote"], "plugins": {"allow": ["network"]}, "replies": replies}))
        return run("tools", "try", "--config", str(file), "remote", json.dumps({"text": text}))

    assert ask("a", "use")[1] == ask("a", "use")[1] == "hello 1\n"
    assert [ask("busy", "use")[1], ask("busy", "use")[1]] == ["error: busy\n"] * 2  # asked twice: not recorded
    assert ask("a", "refresh")[1] == "hello 4\n"
    assert ask("a", "only")[1] == "hello 4\n"
    code, out, err = ask("b", "only")
    assert (code, out) == (2, "")
    assert 'holds no reply of remote to {"text":"b"}' in err


# -- configs -------------------------------------------------------------------------------------------------------


def test_config_schema(run):
    code, out, _ = run("config", "schema")
    assert code == 0
    assert "judge" in json.loads(out)["properties"]


MINIMAL = "judge: fake\ntools: [shout]\nselector: {use: picky}\nreward: {diversity: [], process: []}\n"
SELECTOR = """
    from spark_framework.api import Selector, hookimpl
    class Picky(Selector):
        name = "picky"
        def select(self, candidates, scores, *, threshold, usage, rng): return 0
    @hookimpl
    def spark_selectors(): return [Picky]
"""


@pytest.fixture
def config(tmp_path, fake_judge, fake_tool, fake_distribution) -> Path:
    fake_distribution("picky", {"selector.picky": "picky"}, {"picky": SELECTOR})
    path = tmp_path / "run.yaml"
    path.write_text(MINIMAL)
    return path


def test_config_check(run, refused, config):
    assert run("config", "check", str(config)) == (0, f"{config}: valid\n", "")
    assert "judge.modle: unknown key; did you mean 'model'?" in refused(
        "config", "check", str(config), "--set", "judge.modle=x"
    )
    assert "disabled" in refused("config", "check", str(config), "-p", "no:judge.fake")
    assert "no such file" in refused("config", "check", "none.yaml")


# -- the commands that work ----------------------------------------------------------------------------------------


@pytest.fixture
def noted(monkeypatch, config) -> list:
    """What the pipeline was asked for; it always answers."""
    noted: list = []

    def generate(config: RunConfig, round: str | None = None) -> Path:
        noted.append(("generate", str(config.run), config.judge.config.model, round, sorted(current_host().disabled)))
        return config.run

    def train(run: Path, stage: str) -> Path:
        noted.append(("train", str(run), stage))
        return run / "train" / stage

    def evaluate(run: Path, stage: str, questions: int | None = None) -> dict:
        noted.append(("evaluate", str(run), stage, questions))
        return {"accuracy": 0.5}

    def climb(config: RunConfig, seeds: int, report: Callable[[str], None]) -> dict:
        noted.append(("ladder", str(config.run), seeds))
        report("the table")
        return {"seeds": seeds}

    monkeypatch.setattr("spark_framework.studies.ladder.ladder", climb)  # first: its import binds the real verbs
    for verb, replacement in (("generate", generate), ("train", train), ("evaluate", evaluate)):
        monkeypatch.setattr(f"spark_framework.pipeline.{verb}.{verb}", replacement)
    return noted


def test_generate(run, noted, config):
    argv = [
        "-p",
        "no:judge.gpt4o",
        "generate",
        str(config),
        "--round",
        "explore",
        "--set",
        "judge.model=big",
        "--set",
        "run=r",
    ]
    assert run(*argv) == (0, "r\n", "")
    assert noted == [("generate", "r", "big", "explore", ["judge.gpt4o"])]


def test_train_evaluate_ladder(run, noted, config):
    assert run("train", "r", "--stage", "sft")[:2] == (0, f"{Path('r/train/sft')}\n")
    code, out, _ = run("evaluate", "r", "--stage", "sft", "--questions", "7")
    assert (code, json.loads(out)) == (0, {"accuracy": 0.5})
    code, out, _ = run("ladder", str(config), "--seeds", "3")
    assert (code, out) == (0, f"the table\n\nfigures: {Path('runs/run/ladder.json')}\n")
    assert noted == [("train", "r", "sft"), ("evaluate", "r", "sft", 7), ("ladder", str(Path("runs/run")), 3)]


def test_quickstart_is_the_ladder_of_its_preset(run, noted, config, monkeypatch):
    monkeypatch.setattr("spark_framework.config.files.preset", lambda name: config)
    assert run("quickstart", "--run", "my: run")[0] == 0
    assert noted == [("ladder", "my: run", 1)]


# -- what goes wrong -----------------------------------------------------------------------------------------------


def failing(monkeypatch, error: BaseException) -> None:
    def scan(disable=()):
        raise error

    monkeypatch.setattr("spark_framework.host.discovery.scan", scan)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line(refused, monkeypatch, number):
    failing(monkeypatch, OSError(number, "full", "runs/x/trajectories.jsonl"))
    assert "no space left for runs/x/trajectories.jsonl" in refused("plugins", "list")


def test_an_interrupt_is_130(run, monkeypatch):
    failing(monkeypatch, KeyboardInterrupt())
    assert run("plugins", "list") == (130, "", "interrupted\n")


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), ZeroDivisionError("bug")])
def test_a_bug_keeps_its_traceback(run, monkeypatch, error):
    failing(monkeypatch, error)
    with pytest.raises(type(error)):
        run("plugins", "list")
