"""Calling: what the model, the judge and the observers get, and what a failure becomes."""

from __future__ import annotations

import logging
import sys

import pytest

from spark_framework.api import (
    Call,
    Candidate,
    Judge,
    JudgeError,
    JudgeRequest,
    Question,
    Step,
    Tool,
    ToolArgs,
    ToolContext,
    ToolError,
    Verdict,
    hookimpl,
)
from spark_framework.errors import ConfigError
from spark_framework.host.manager import Host


class Echo(Tool):
    name = "echo"
    description = "Says what it hears."

    class Args(ToolArgs):
        text: str
        times: int = 1

    def __init__(self, act=lambda text: text):
        super().__init__()
        self.act = act

    def call(self, args, context):
        return self.act(args.text * args.times)


def raising(exc):
    def act(text):
        raise exc

    return act


def call(tool, arguments, *plugins):
    host = Host()
    for plugin in plugins:
        host.register(plugin)
    return host.calls.call_tool(tool, arguments, ToolContext())


# -- tools ---------------------------------------------------------------------------------------------------------


def test_a_tool_answers():
    assert call(Echo(), {"text": "ab", "times": "2"}) == (True, "abab")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "error: argument 'text' is missing"),
        ({"txt": "a"}, "error: argument 'text' is missing; there is no argument 'txt'"),
        ({"text": "a", "times": "x"}, "error: argument 'times': Input should be a valid integer"),
        ({"text": ["a"]}, "error: argument 'text': Input should be a valid string"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(arguments, text):
    ok, told = call(Echo(), arguments)
    assert not ok
    assert told.startswith(text)
    assert "\n" not in told
    assert "pydantic" not in told


class Panic(BaseException):
    pass


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (raising(ToolError("no such word")), "error: no such word"),
        (raising(ZeroDivisionError("secret /path/0x7f")), "error: echo failed (ZeroDivisionError)"),
        (raising(SystemExit(1)), "error: echo failed (SystemExit)"),
        (raising(Panic("deep")), "error: echo failed (Panic)"),
        (lambda text: 42, "error: echo returned int instead of text"),
        (lambda text: None, "error: echo returned NoneType instead of text"),
    ],
)
def test_a_failing_tool_is_an_observation(act, text):
    assert call(Echo(act), {"text": "a"}) == (False, text)


def test_an_interrupt_ends_the_run():
    with pytest.raises(KeyboardInterrupt):
        call(Echo(raising(KeyboardInterrupt())), {"text": "a"})


def test_output_is_cut_and_can_be_stored():
    assert call(Echo(), {"text": "x" * 2000}) == (True, "x" * 2000)
    ok, text = call(Echo(), {"text": "x" * 2001})
    assert (ok, len(text), text[-1]) == (True, 2000, "…")
    ok, text = call(Echo(raising(ToolError("y" * 3000))), {"text": "a"})
    assert (ok, len(text)) == (False, 2000)
    assert call(Echo(lambda text: "a\ud800b"), {"text": "a"}) == (True, "a?b")


class Cache:
    """Answers a tool call and a judge step when it has an answer."""

    def __init__(self, answer=None, verdict=None):
        self.answer, self.verdict = answer, verdict

    @hookimpl
    def spark_call_tool(self, tool, arguments):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    @hookimpl
    def spark_judge_step(self, request):
        self.request = request
        if isinstance(self.verdict, BaseException):
            raise self.verdict
        return self.verdict


def test_a_plugin_may_answer_first_or_pass():
    assert call(Echo(), {"text": "a"}, Cache((True, "stored"))) == (True, "stored")
    assert call(Echo(), {"text": "a"}, Cache(None)) == (True, "a")


@pytest.mark.parametrize("answer", [RuntimeError("disk"), "text", (True, 5), (1, "text")])
def test_a_plugin_that_fails_in_a_tools_place_is_named(answer):
    ok, text = call(Echo(), {"text": "a"}, Cache(answer))
    assert not ok
    if isinstance(answer, RuntimeError):
        assert text.startswith("error: plugin Cache#")
        assert text.endswith("failed (RuntimeError)")
    else:
        assert text.startswith("error: ")


# -- judges --------------------------------------------------------------------------------------------------------

GOLD = Question(
    id="q", text="2 + 2?", options=("3", "4"), answer=1, category="math", source="t", plan=((Call(action="think"),),)
)
TWO = (Candidate(action="think", arguments={}), Candidate(action="echo", arguments={"text": "a"}))


def verdict(*scores: float, reason: str = "") -> Verdict:
    return Verdict(scores=scores, process_ok=(True,) * len(scores), judge="j", fingerprint="f", reason=reason)


REQUEST = JudgeRequest(
    question=GOLD,
    steps=(Step(candidates=TWO, verdict=verdict(1, 9, reason="the answer is 4"), chosen=1),),
    candidates=TWO,
)


class Recorder(Judge):
    name = "recorder"

    def __init__(self, result):
        super().__init__()
        self.result = result

    def score(self, request):
        self.request = request
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


class Oracle(Recorder):
    uses_gold = True


def test_gold_is_withheld_from_all_but_oracles():
    judge, plugin = Recorder(verdict(1, 2)), Cache()
    host = Host()
    host.register(plugin)
    assert host.calls.judge_step(judge, REQUEST) == verdict(1, 2)
    for request in (judge.request, plugin.request):
        assert request.question == GOLD.without_gold()
        assert [step.verdict for step in request.steps] == [None]
        assert request.steps[0].candidate == TWO[1]
        assert "answer is 4" not in request.model_dump_json()
    oracle = Oracle(verdict(1, 2))
    host.calls.judge_step(oracle, REQUEST)
    assert oracle.request == REQUEST


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (verdict(1), "'recorder' gave 1 scores for 2 candidates"),
        (verdict(1, 2, 3), "'recorder' gave 3 scores for 2 candidates"),
        (None, "'recorder' returned NoneType"),
        ([1.0, 2.0], "'recorder' returned list"),
        (KeyError("x"), "judge 'recorder' failed: KeyError: 'x'"),
        (ToolError("x"), "judge 'recorder' failed: ToolError: x"),
    ],
)
def test_an_incomplete_verdict_is_an_error_and_never_a_number(result, text):
    with pytest.raises(JudgeError, match=text):
        Host().calls.judge_step(Recorder(result), REQUEST)


@pytest.mark.parametrize("error", [JudgeError("later", kind="transient"), ConfigError("judge.key: missing")])
def test_errors_that_say_what_to_do_pass_unchanged(error):
    with pytest.raises(type(error)) as caught:
        Host().calls.judge_step(Recorder(error), REQUEST)
    assert caught.value is error


@pytest.mark.parametrize(
    ("result", "text"), [(RuntimeError("disk"), "plugin Cache#.*: disk"), (verdict(1), "1 scores")]
)
def test_a_plugin_in_the_judges_place_is_checked_too(result, text):
    host = Host()
    host.register(Cache(verdict=result))
    with pytest.raises(JudgeError, match=text):
        host.calls.judge_step(Recorder(verdict(1, 2)), REQUEST)


# -- observers -----------------------------------------------------------------------------------------------------


class Watcher:
    def __init__(self, fail=False, figures=None):
        self.fail, self.figures, self.seen = fail, figures, []

    def note(self, *what):
        if self.fail:
            raise RuntimeError("watcher is tired")
        self.seen.append(what)

    @hookimpl
    def spark_run_started(self, manifest):
        self.note("run", manifest)

    @hookimpl
    def spark_step_finished(self, question_id, step):
        self.note("step", question_id)

    @hookimpl
    def spark_trajectory_finished(self, trajectory):
        self.note("trajectory", trajectory)

    @hookimpl
    def spark_update_finished(self, stage, metrics):
        self.note("update", stage, metrics)

    @hookimpl
    def spark_run_finished(self, error):
        self.note("end", error)

    @hookimpl
    def spark_metrics(self, trajectories):
        self.note("metrics")
        return self.figures


def test_observers_hear_everything_and_one_that_fails_does_not_stop_others(caplog):
    host, bad, good = Host(), Watcher(fail=True), Watcher()
    for plugin in (good, bad):  # the later one is asked first
        host.register(plugin)
    calls = host.calls
    step = REQUEST.steps[0]
    with caplog.at_level(logging.ERROR):
        calls.run_started({"seed": 1})
        calls.step_finished("q", step)
        calls.trajectory_finished("t")
        calls.update_finished("ppo", {"loss": 1.0})
        calls.run_finished(None)
    assert good.seen == [
        ("run", {"seed": 1}), ("step", "q"), ("trajectory", "t"), ("update", "ppo", {"loss": 1.0}), ("end", None)
    ]  # fmt: skip
    assert list(calls.failures.values()) == [5]
    assert len(caplog.records) == 1
    assert "Watcher" in caplog.text
    assert "watcher is tired" in caplog.text
    assert "Traceback" in caplog.text


def test_a_hook_without_implementations_is_accepted():
    assert Host().calls.metrics([]) == {}
    Host().calls.run_finished(ValueError("x"))


def test_figures_are_merged_and_wrong_ones_counted():
    host = Host()
    for figures in ({"a": 1, "e": 2.5}, None, {"b": 2.5}, {"a": 3}, {"c": float("nan")}, {"d": "much"}, 7):
        host.register(Watcher(figures=figures))  # the later one is asked first
    assert host.calls.metrics([]) == {"a": 3.0, "b": 2.5}
    assert list(host.calls.failures.values()) == [1, 1, 1, 1]


def test_a_plugin_modules_own_observers_take_part(fake_distribution):
    source = """
        from spark_framework.api import Judge, hookimpl
        class Seen(Judge):
            name = "seen"
            def score(self, request): ...
        events = []
        @hookimpl
        def spark_judges(): return [Seen]
        @hookimpl
        def spark_run_started(manifest): events.append(manifest)
    """
    fake_distribution("seen", {"judge.seen": "seen_judge"}, {"seen_judge": source})
    host = Host()
    host.component_class("judge", "seen")
    host.calls.run_started({"x": 1})
    assert sys.modules["seen_judge"].events == [{"x": 1}]
