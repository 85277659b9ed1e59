"""`mcp`: real server processes, well-behaved and hostile, on stdin and stdout and over HTTP."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from spark_framework.api import ConfigError, Tool, ToolContext, ToolError, UserError
from spark_framework.config.run import RunConfig
from spark_framework.host.lifecycle import open_tools
from spark_framework.host.manager import Host
from spark_plugin_tools.mcp import Mcp
from tests.plugins.tools.mcp_servers.hostile_http import TOKEN, serving

pytest.importorskip("mcp")

SERVERS = Path(__file__).parent / "mcp_servers"
FRIENDLY = (sys.executable, str(SERVERS / "friendly.py"))
ADDITIONS = 100


class Opened:
    """A prepared toolset, called as a run calls it."""

    def __init__(self, **settings: Any) -> None:
        self.toolset = Mcp(Mcp.Config(**settings))
        self.calls = Host().calls

    @property
    def tools(self) -> dict[str, Tool]:
        return {tool.name: tool for tool in self.toolset.tools()}

    def __call__(self, name: str, **arguments: Any) -> tuple[bool, str]:
        return self.calls.call_tool(self.tools[name], arguments, ToolContext())

    def failure(self, name: str = "echo", **arguments: Any) -> ToolError:
        tool = self.tools[name]
        with pytest.raises(ToolError) as caught:
            tool.call(tool.Args.model_validate(arguments), ToolContext())
        return caught.value


@contextmanager
def opened(**settings: Any) -> Iterator[Opened]:
    found = Opened(**{"timeout": 15.0, **settings})
    try:
        found.toolset.prepare()
        yield found
    finally:
        found.toolset.close()


@contextmanager
def hostile(behaviour: str, *file: Path, **settings: Any) -> Iterator[Opened]:
    command = (sys.executable, str(SERVERS / "hostile.py"), behaviour, *map(str, file))
    with opened(command=command, **settings) as found:
        yield found


def refused(behaviour: str, **settings: Any) -> str:
    with pytest.raises(UserError) as caught, hostile(behaviour, **settings):
        pass
    message = str(caught.value)
    assert message.startswith("tool mcp")
    assert message.isprintable()
    return message


@contextmanager
def web_server(port: int = 0) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """friendly.py over HTTP and the port that it has."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*FRIENDLY, str(port)], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def noted(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()]


def running(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def toolset_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "spark-mcp"}


def eventually_ended(pids: list[int]) -> bool:
    for _ in range(500):
        if not any(running(pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


@pytest.fixture(scope="module")
def friendly() -> Iterator[Opened]:
    with opened(command=FRIENDLY) as found:
        yield found


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with serving() as address:
        yield address


# -- a server that behaves -----------------------------------------------------------------------------------------


def test_tools_have_the_servers_names_descriptions_and_schemas(friendly: Opened) -> None:
    assert list(friendly.tools) == ["add", "boom", "die", "echo", "picture", "sleep", "variables"]
    add = friendly.tools["add"]
    assert add.description == "Add two numbers."
    assert add.Args.model_json_schema()["properties"]["a"] == {"title": "A", "type": "integer"}
    assert friendly.toolset.tools() is friendly.toolset.tools()


def test_calls_are_answered_with_text(friendly: Opened) -> None:
    assert friendly("add", a=1, b=2) == (True, "3")
    assert friendly("echo", text='é∑😀 "\n') == (True, 'é∑😀 "\n')
    assert friendly("picture") == (True, "a dot\n[image]")


def test_bad_arguments_do_not_reach_the_server(friendly: Opened) -> None:
    ok, text = friendly("add", a="one", b=2)
    assert not ok
    assert "a: 'one' is not of type 'integer'" in text
    ok, text = friendly("add", a=1)
    assert not ok
    assert "'b' is a required property" in text


def test_odd_arguments_are_repaired_or_refused(friendly: Opened) -> None:
    assert friendly("echo", text="a\ud800b") == (True, "a?b")
    assert friendly("echo", text="", extra=float("nan"))[0] is False
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert friendly("echo", text="", extra=deep)[0] is False
    assert friendly("add", a=10**300, b=1) == (True, str(10**300 + 1))


def test_a_failing_tool_is_a_lasting_failure(friendly: Opened) -> None:
    failure = friendly.failure("boom")
    assert str(failure) == "Error executing tool boom"
    assert not failure.transient


def test_long_replies_are_cut(friendly: Opened) -> None:
    ok, text = friendly("echo", text="x", times=3_000_000)
    assert ok
    assert len(text) == 2000
    tool = friendly.tools["echo"]
    assert len(tool.call(tool.Args.model_validate({"text": "x", "times": 3_000_000}), ToolContext())) == 4000


def test_the_server_gets_named_variables_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x")
    monkeypatch.setenv("CITY_KEY", "y")
    with opened(command=FRIENDLY, env=("CITY_KEY",)) as found:
        names = found("variables")[1].split()
    assert "CITY_KEY" in names
    assert "SECRET_KEY" not in names
    monkeypatch.delenv("CITY_KEY")
    with pytest.raises(UserError, match="CITY_KEY is not set"), opened(command=FRIENDLY, env=("CITY_KEY",)):
        pass


def test_eight_threads_share_one_server(friendly: Opened) -> None:
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda n: friendly("add", a=n, b=1), range(8 * ADDITIONS)))
    assert sums == [(True, str(n + 1)) for n in range(8 * ADDITIONS)]


def test_a_call_works_without_prepare_and_after_close(tmp_path: Path) -> None:
    with hostile("behaving", tmp_path / "starts") as found:
        old = found.tools["echo"]
        found.toolset.close()
        found.toolset.close()
        with pytest.raises(ToolError) as caught:
            old.call(old.Args(), ToolContext())
        assert caught.value.transient
        assert found("echo", a=1) == (True, '{"a": 1}')
    assert len(noted(tmp_path / "starts")) == 2
    assert eventually_ended(noted(tmp_path / "starts"))


# -- the settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either `command` or `url`"),
        ({"command": ("",)}, "either `command` or `url`"),
        ({"command": ("x",), "url": "http://localhost/mcp"}, "either `command` or `url`"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "http://me:secret@localhost/"}, "url"),
        ({"url": "http://secret@localhost"}, "url"),
        ({"url": "http://localhost/", "env": ("A",)}, "belongs to `command`"),
        ({"command": ("x",), "token_env": "A"}, "belongs to `url`"),
        ({"command": ("x",), "prefix": "a b"}, "prefix"),
        ({"command": ("x",), "timeout": 0}, "timeout"),
    ],
)
def test_contradictory_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mcp.Config(**settings)


def test_needs_follow_from_the_address() -> None:
    assert Mcp(Mcp.Config(command=("x",))).needs == {"network", "filesystem"}
    assert Mcp(Mcp.Config(url="http://localhost/mcp")).needs == {"network"}
    with hostile("behaving") as found:
        assert found.tools["echo"].needs == {"network", "filesystem"}


def test_a_run_has_to_allow_it_and_may_have_two() -> None:
    use = f"{Mcp.__module__}:Mcp"
    command = [sys.executable, str(SERVERS / "hostile.py"), "behaving"]
    tools = ["calculator", {"use": use, "command": command}, {"use": use, "command": command, "prefix": "my-"}]
    with pytest.raises(ConfigError, match="needs filesystem, network"):
        RunConfig.model_validate({"tools": tools})
    config = RunConfig.model_validate({"tools": tools, "plugins": {"allow": ["network", "filesystem"]}})
    with open_tools(config.tools) as found:
        assert [tool.name for tool in found] == ["calculator", "echo", "my-echo"]
    with pytest.raises(ConfigError, match="echo is listed twice"), open_tools([*config.tools, config.tools[1]]):
        pass


def test_include_chooses_and_orders(friendly: Opened) -> None:
    with opened(command=FRIENDLY, include=("echo", "add"), prefix="my-") as found:
        assert list(found.tools) == ["my-echo", "my-add"]
        assert found("my-add", a=1, b=2) == (True, "3")
    with pytest.raises(UserError, match=r"no tool 'subtract'; its tools: add, boom"):
        opened(command=FRIENDLY, include=("subtract",)).__enter__()


def test_a_pin_refuses_other_tools() -> None:
    message = refused("behaving", pin="?")
    found = re.findall(r"[0-9a-f]{64}", message)[0]
    assert "`pin` is '?'" in message
    with hostile("behaving", pin=found) as same:
        assert list(same.tools) == ["echo"]
    assert found not in refused("wordy", pin="?")
    assert "digest" in refused("wordy", pin=found)


def test_fingerprints_tell_servers_and_definitions_apart() -> None:
    prints = set()
    for behaviour in ("behaving", "wordy", "chatty"):
        with hostile(behaviour) as found:
            prints.add(found.tools["echo"].fingerprint())
    with hostile("behaving", timeout=14.0) as found:
        assert found.tools["echo"].fingerprint() in prints
    assert len(prints) == 3
    assert all(len(one) == 16 for one in prints)


# -- definitions from strangers ------------------------------------------------------------------------------------


def test_names_become_names_of_actions() -> None:
    with hostile("odd_names") as found:
        assert list(found.tools) == ["get_city_", "n" * 64, "rm_-rf______id_", "_n_code"]
        assert found("get_city_", a=1) == (True, '{"a": 1}')


def test_a_long_description_is_cut_and_cleaned() -> None:
    with hostile("wordy") as found:
        description = found.tools["echo"].description
    assert description.startswith("Says [2J it. again again")
    assert len(description) == 300
    assert description.isprintable()


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("bad_schema", "tool echo: not a JSON schema"),
        ("clash", "several tools of the server would be called get_city"),
        ("foreign_schema", "refers to another document"),
        ("gone", "ended the connection; it said: no such [31mlicence"),
        ("many", "500 tools; list at most 64"),
        ("no_tools", "no tools"),
        ("pages", "more than 20 pages"),
    ],
)
def test_servers_that_cannot_be_used_are_refused_in_one_line(behaviour: str, message: str) -> None:
    assert message in refused(behaviour)


def test_include_takes_few_of_many() -> None:
    with hostile("many", include=("tool007", "tool499")) as found:
        assert list(found.tools) == ["tool007", "tool499"]


def test_patterns_of_strangers_are_not_run() -> None:
    for behaviour in ("input_bomb", "output_bomb"):
        with hostile(behaviour) as found:
            assert found("echo", a="a" * 40 + "!")[0]


def test_a_missing_command_is_one_line() -> None:
    with pytest.raises(UserError, match=r"`no-such-command` cannot be started \(No such file or directory\)"):
        opened(command=("no-such-command",)).__enter__()


def test_a_missing_sdk_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("spark_plugin_tools.mcp.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(UserError, match=r"pip install 'spark-framework\[mcp\]'"):
        opened(command=FRIENDLY).__enter__()


# -- replies -------------------------------------------------------------------------------------------------------


def test_content_other_than_text_is_named_or_written_as_json() -> None:
    with hostile("blocks") as found:
        assert found("structured") == (True, '{"sum":[1,2]}')
        assert found("both") == (True, "three")
        assert found("resource") == (True, "a file")
        assert found("blob") == (True, "[resource]")
        assert found("nothing") == (True, "[nothing]")


def test_a_reply_of_5_mb_is_refused_and_the_server_kept(tmp_path: Path) -> None:
    with hostile("huge", tmp_path / "starts") as found:
        assert found("echo") == (False, "error: the reply is longer than 4 MB; ask for less")
        assert found("echo") == (False, "error: the reply is longer than 4 MB; ask for less")
    assert len(noted(tmp_path / "starts")) == 1


def test_a_servers_own_error_does_not_cost_the_connection() -> None:
    with hostile("refusing") as found:
        assert found("echo") == (False, "error: no such city (start 1)")
        assert not found.failure().transient


def test_a_reply_without_a_result_is_a_failure() -> None:
    with hostile("no_result") as found:
        assert found("echo") == (False, "error: the tool's server answered with something that is no result")


def test_a_server_gets_no_model_to_ask() -> None:
    with hostile("asking") as found:
        assert found("echo") == (True, "error")


# -- servers that die, stall and flood -----------------------------------------------------------------------------


def test_text_outside_the_protocol_is_skipped(capfd: pytest.CaptureFixture[str]) -> None:
    with hostile("chatty") as found:
        assert found("echo", a=1) == (True, '{"a": 1}')
    assert capfd.readouterr() == ("", "")


def test_a_call_that_loses_the_connection_is_retried(tmp_path: Path) -> None:
    with hostile("mortal", tmp_path / "starts") as found:
        assert [found("echo", a=n) for n in range(6)] == [(True, f'{{"a": {n}}}') for n in range(6)]
    assert len(noted(tmp_path / "starts")) == 3


@pytest.mark.parametrize("behaviour", ["deadly", "once_only"])
def test_a_call_is_asked_twice_and_no_more(behaviour: str, tmp_path: Path) -> None:
    with hostile(behaviour, tmp_path / "starts") as found:
        failure = found.failure()
        assert str(failure) == "the tool's server cannot be used at the moment"
        assert failure.transient
        assert len(noted(tmp_path / "starts")) == 2


def test_eight_threads_that_lose_one_connection_make_one(tmp_path: Path) -> None:
    with hostile("behaving", tmp_path / "starts") as found:
        together = threading.Barrier(8)

        def twice(number: int) -> tuple[bool, str]:
            found("echo", a=number)
            if together.wait(30) == 0:
                os.kill(noted(tmp_path / "starts")[0], signal.SIGKILL)
            together.wait(30)
            return found("echo", a=number)

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(twice, range(8))) == [(True, f'{{"a": {n}}}') for n in range(8)]
    assert len(noted(tmp_path / "starts")) == 2


def test_a_server_with_other_tools_after_a_restart_is_not_used(tmp_path: Path) -> None:
    with hostile("changed", tmp_path / "starts") as found:
        failure = found.failure()
        assert failure.transient
        assert "announces other tools" in str(failure.__cause__)
        assert found.failure().transient
        assert len(noted(tmp_path / "starts")) == 2


def test_a_server_that_never_answers_is_refused() -> None:
    message = refused("silent", timeout=0.5)
    assert "did not answer within 0.5 s; raise `timeout`" in message


def test_a_server_that_stalls_is_started_anew(tmp_path: Path) -> None:
    with hostile("stalling", tmp_path / "starts", timeout=1.0) as found:
        failure = found.failure(a=1)
        assert str(failure) == "timeout: the tool's server did not answer in time"
        assert failure.transient
        for _ in range(5):  # a slow machine may need more than a second for a start
            answered = found("echo", a=1)
        assert answered == (True, '{"a": 1}')
    assert eventually_ended(noted(tmp_path / "starts"))


def test_a_server_that_never_reads_causes_a_timeout(tmp_path: Path) -> None:
    with hostile("deaf", tmp_path / "starts", timeout=1.0) as found:
        assert found.failure(a="x" * 1_000_000).transient
    assert eventually_ended(noted(tmp_path / "starts"))


@pytest.mark.parametrize(
    ("behaviour", "timeout", "message"),
    [
        ("flood", 60.0, "the tool's server cannot be used at the moment"),
        ("endless_line", 60.0, "the tool's server cannot be used at the moment"),
        ("notifications", 2.0, "timeout: the tool's server did not answer in time"),
    ],
)
def test_a_flood_ends_and_fills_no_memory(behaviour: str, timeout: float, message: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile(behaviour, tmp_path / "starts", timeout=timeout) as found:
        failure = found.failure()
        assert str(failure) == message
        assert failure.transient
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    assert eventually_ended(noted(tmp_path / "starts"))


# -- the end -------------------------------------------------------------------------------------------------------


def test_close_ends_a_server_and_its_children(tmp_path: Path) -> None:
    others = toolset_threads()
    with hostile("lingering", tmp_path / "starts") as found:
        assert len(toolset_threads() - others) == 1
        pids = noted(tmp_path / "starts")
        assert len(pids) == 2
        assert all(running(pid) for pid in pids)
        found.toolset.close()
        assert eventually_ended(pids)
    assert not toolset_threads() - others


def test_a_toolset_without_references_ends_its_server(tmp_path: Path) -> None:
    command = (sys.executable, str(SERVERS / "hostile.py"), "behaving", str(tmp_path / "starts"))
    toolset = Mcp(Mcp.Config(command=command))
    toolset.prepare()
    del toolset
    assert eventually_ended(noted(tmp_path / "starts"))


PROGRAM = """
import os, sys
from spark_plugin_tools.mcp import Mcp
from spark_framework.api import ToolContext, ToolError
assert not {"mcp", "httpx2", "anyio"} & set(sys.modules)
import mcp
assert "spark_plugin_tools" not in mcp.__file__, mcp.__file__
toolset = Mcp(Mcp.Config(command=tuple(sys.argv[1:])))
toolset.prepare()
(tool,) = toolset.tools()
child = os.fork()
if child == 0:
    try:
        tool.call(tool.Args(), ToolContext())
    except ToolError as error:
        print("forked:", error.__cause__, flush=True)
    toolset.close()
    sys.exit()
os.waitpid(child, 0)
print(tool.call(tool.Args.model_validate({"a": 1}), ToolContext()))
"""


def test_a_program_that_forks_and_forgets_to_close_leaves_no_server(tmp_path: Path) -> None:
    command = [sys.executable, str(SERVERS / "hostile.py"), "lingering", str(tmp_path / "starts")]
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore::DeprecationWarning", "-c", PROGRAM, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "forked: a server cannot be asked in a process forked after it was connected; use spawn",
        '{"a": 1}',
    ]
    assert eventually_ended(noted(tmp_path / "starts"))


# -- over HTTP -----------------------------------------------------------------------------------------------------


def test_a_url_gives_the_same_tools_and_survives_a_restart(friendly: Opened) -> None:
    with web_server() as (process, port):
        url = f"http://127.0.0.1:{port}/mcp"
        with opened(url=url) as found:
            assert list(found.tools) == list(friendly.tools)
            assert found("add", a=1, b=2) == (True, "3")
            with ThreadPoolExecutor(8) as pool:
                sums = list(pool.map(lambda n: found("add", a=n, b=1), range(80)))
            assert sums == [(True, str(n + 1)) for n in range(80)]
            process.kill()
            process.wait()
            assert found.failure("add", a=1, b=2).transient
            with web_server(port):
                assert found("add", a=1, b=2) == (True, "3")


def test_the_token_comes_from_the_environment(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_TOKEN", TOKEN)
    with opened(url=f"{web}/token", token_env="CITY_TOKEN") as found:
        assert found("echo", a=1) == (True, '{"a": 1}')
        assert TOKEN not in found.toolset.config.model_dump_json()
    monkeypatch.setenv("CITY_TOKEN", "wrong")
    with pytest.raises(UserError, match="HTTP 401 Unauthorized") as caught:
        opened(url=f"{web}/token", token_env="CITY_TOKEN").__enter__()
    assert "wrong" not in str(caught.value)


def test_a_url_that_refuses_is_one_line(web: str) -> None:
    with pytest.raises(UserError, match=r"http://127.0.0.1:9/mcp cannot be used \(ConnectError"):
        opened(url="http://127.0.0.1:9/mcp").__enter__()
    with pytest.raises(UserError, match="not followed"):
        opened(url=f"{web}/elsewhere").__enter__()


@pytest.mark.parametrize(
    ("behaviour", "message", "transient"),
    [
        ("huge", "longer than 4 MB", False),
        ("endless", "longer than 4 MB", False),
        ("packed", "compressed", False),
        ("events", "SSE stream failed", False),
        ("broken", "Server returned an error response", True),
        ("page", "Unexpected content type", False),
        ("late", "timeout", True),
    ],
)
def test_bad_replies_over_http_are_failures(web: str, behaviour: str, message: str, transient: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with opened(url=f"{web}/{behaviour}", timeout=2.0 if behaviour == "late" else 15.0) as found:
        failure = found.failure()
        assert message in str(failure)
        assert failure.transient == transient
    if behaviour != "packed":  # the server itself needs room for that one
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
