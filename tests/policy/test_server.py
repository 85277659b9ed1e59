"""A policy behind HTTP, against a real server on this machine that speaks chat completions."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from spark_framework import TrajectoryStore, evaluate, generate
from spark_framework.cli import main
from spark_framework.config.run import RunConfig
from spark_framework.policy import Sampling
from spark_framework.records import Trajectory
from spark_framework.runs.run_dir import open_run
from tests.runs import config_file

Answer = tuple[int, str]
TOOLS = ("calculator", "python", "solver", "science", "stats_finance", "encyclopedia", "dictionary", "search")


class Server:
    """Says what `reply` makes of a request; keeps all requests."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.reply: Callable[[dict[str, Any]], Answer] = helpful


def completion(text: str | None) -> Answer:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return 200, json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})


def helpful(request: dict[str, Any]) -> Answer:
    """Takes the action that it is told to take; where it is free, it adds once and then answers."""
    messages = request["messages"]
    told = re.search(r"next action has to be (\w+)", messages[-1]["content"])
    seen = any(message["content"].startswith("Observation:") for message in messages)
    action = told[1] if told else "answer" if seen else "calculator"
    match action:
        case "calculator":
            text = "Action: calculator\nInput: 1+1"
        case "science":
            text = "1 m in cm"  # no action, and not the JSON that this tool takes
        case "search":
            text = "Action: dictionary\nInput: two"  # another action than it was told
        case "answer":
            text = "Thought: so it is\nAction: answer\nAction Input: A"
        case _:
            text = f"Action: {action}\nInput: two"
    return completion(text)


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append({"path": self.path, **json.loads(body)})
            state.keys.add(self.headers.get("Authorization"))
            status, text = state.reply(state.requests[-1])
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("x-should-retry", "false")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state, f"http://127.0.0.1:{http.server_port}/v1"
    http.shutdown()
    http.server_close()
    thread.join()


def settings(run: Path, url: str, **changes: Any) -> dict[str, Any]:
    scores = {"calculator": 7, "think": 9}
    return {
        "run": str(run),
        "policy": {"use": "server", "model": "m", "base_url": url, "max_new_tokens": 30, "api_key_env": "NO_SUCH_KEY"},
        "questions": {"use": "practice", "families": ["arithmetic"]},
        "judge": {"use": "scripted", "scores": scores},
        "rollouts": [{"name": "explore", "questions": 2}],
        "evaluation": {"questions": 2},
        **changes,
    }  # fmt: skip


def rolled(run: Path, url: str, **changes: Any) -> list[Trajectory]:
    generate(RunConfig.model_validate(settings(run, url, **changes)))
    return list(TrajectoryStore(run / "trajectories.jsonl").read())


def test_nine_candidates_through_chat_completions(server: tuple[Server, str], tmp_path: Path) -> None:
    state, url = server
    one, two = rolled(tmp_path / "run", url)
    for trajectory in (one, two):
        assert [step.candidate.action for step in trajectory.steps] == ["calculator", "answer"]
        assert trajectory.answer == 0
        assert trajectory.prompt_ids == ()
        step = trajectory.steps[0]
        assert tuple(c.action for c in step.candidates) == (*TOOLS, "think")
        said = {c.action: c for c in step.candidates}
        assert (said["calculator"].observation, said["calculator"].ok) == ("2", True)
        assert said["dictionary"].arguments == {"term": "two"}
        assert said["science"].observation == "error: science takes a JSON object with " + ", ".join(
            _argument_names("science")
        )
        assert said["search"].observation == "error: name the action search"
        assert not said["search"].ok
    forced = [r for r in state.requests if "next action has to be" in r["messages"][-1]["content"]]
    assert len(forced) == 2 * (9 + 1)  # nine candidates and the closing answer
    assert {r["path"] for r in state.requests} == {"/v1/chat/completions"}
    assert {(r["model"], r["max_tokens"], r["temperature"]) for r in state.requests} == {("m", 30, 0.7)}
    assert state.keys == {"Bearer none"}
    system = state.requests[0]["messages"][0]
    assert system["role"] == "system"
    assert all(name in system["content"] for name in TOOLS)


def _argument_names(tool: str) -> list[str]:
    from tests.plugins.tools.calls import tool_class

    return list(tool_class(tool).Args.model_fields)


def test_the_conversation_that_is_sent_only_grows(server: tuple[Server, str], tmp_path: Path) -> None:
    state, url = server
    (trajectory,) = rolled(tmp_path / "run", url, rollouts=[{"name": "explore", "questions": 1}])
    last = max((r["messages"] for r in state.requests), key=len)
    assert [message["role"] for message in last] == ["system", "user", "assistant", "user"]
    assert last[2]["content"] == trajectory.steps[0].candidate.text == "Action: calculator\nInput: 1+1"
    assert last[3]["content"].startswith("Observation: 2")


def test_it_can_be_evaluated(server: tuple[Server, str], tmp_path: Path) -> None:
    _, url = server
    run = tmp_path / "run"
    rolled(run, url)
    figures = evaluate(run, "tools")
    assert (figures["n"], figures["mean_steps"], figures["valid_calls"]) == (2, 1.0, 1.0)
    assert figures["policy_entropy_bits"] is None  # nobody sees its distribution
    assert evaluate(run, "base")["mean_steps"] == 0


MMLU_PRO = Path(__file__).parents[3] / "shared" / "data" / "mmlu_pro"
RECORDED, QUESTIONS = MMLU_PRO / "llama31_8b_outputs_600.jsonl", MMLU_PRO / "test.parquet"


@pytest.mark.parametrize(
    ("extraction", "right", "unparsed"),
    [("resolve", [True, True, True, False], 1), ("official", [True, False, False, True], 2)],
)
def test_answers_are_read_as_configured(
    server: tuple[Server, str], tmp_path: Path, extraction: str, right: list[bool], unparsed: int
) -> None:
    """A letter, an option's text, its letter in brackets in lower case, and a letter after more than one line says."""
    state, url = server
    options = ("Lima", "Quito", "Bogota")
    file = tmp_path / "questions.jsonl"
    row = {"options": options, "answer": "B", "answer_index": 1, "category": "geography"}
    rows = [{"question_id": k, "question": f"Which city is number {k}?", **row} for k in range(4)]
    file.write_text("\n".join(map(json.dumps, rows)))
    said = ["The answer is (B).", "Quito", "(b)", "Lima and Bogota are no candidates, so the answer is B for me"]

    def reply(request: dict[str, Any]) -> Answer:
        number = re.search(r"city is number (\d)", request["messages"][-1]["content"])
        assert number
        return completion(f"Action: answer\nInput: {said[int(number[1])]}")

    state.reply = reply
    evaluation = {"questions": None, "extraction": extraction}
    questions = {"use": "mmlu_pro", "path": str(file), "held_out_categories": ["geography"]}
    run = tmp_path / "run"
    open_run(RunConfig.model_validate(settings(run, url, questions=questions, rollouts=[], evaluation=evaluation)))
    figures = evaluate(run, "base")
    stored = list(TrajectoryStore(run / "eval" / "base.jsonl").read())
    assert [one.correct for one in sorted(stored, key=lambda one: one.question.text)] == right
    assert (figures["n"], figures["accuracy"], figures["unparsed"]) == (4, sum(right) / 4, unparsed)


@pytest.mark.skipif(not (RECORDED.exists() and QUESTIONS.exists()), reason="the recorded outputs are not here")
def test_the_official_extraction_scores_recorded_outputs_as_the_official_script(
    server: tuple[Server, str], tmp_path: Path
) -> None:
    """All but the outputs in which that script found no letter: it drew one, which `drawn` undoes."""
    state, url = server
    recorded = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()][:120]
    table = pytest.importorskip("pyarrow.parquet").read_table(QUESTIONS).to_pylist()
    by_id = {row["question_id"]: row for row in table}
    rows = [{**by_id[one["question_id"]], "question": f"Question {one['question_id']}!"} for one in recorded]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    texts = {str(one["question_id"]): one["generated_text"] for one in recorded}

    def reply(request: dict[str, Any]) -> Answer:
        key = re.search(r"Question (\d+)!", request["messages"][1]["content"])
        assert key
        return completion(f"Action: answer\nInput: {texts[key[1]]}")

    state.reply = reply
    questions = {"use": "mmlu_pro", "path": str(file), "held_out_categories": sorted({row["category"] for row in rows})}
    run = tmp_path / "run"
    evaluation = {"questions": None, "extraction": "official"}
    open_run(RunConfig.model_validate(settings(run, url, questions=questions, rollouts=[], evaluation=evaluation)))
    figures = evaluate(run, "base")
    found = {t.question.id: t.answer for t in TrajectoryStore(run / "eval" / "base.jsonl").read()}
    answers = [found[key] for key in sorted(found, key=lambda key: int(re.sub(r"\D", "", key)))]
    in_order = sorted(recorded, key=lambda one: one["question_id"])
    drawn = [k for k, answer in enumerate(answers) if answer is None]
    assert 0 < len(drawn) == figures["unparsed"] < 20
    for k, (answer, one) in enumerate(zip(answers, in_order, strict=True)):
        assert k in drawn or "ABCDEFGHIJ"[answer] == one["pred"], one
    right = sum(one["pred"] == one["answer"] for k, one in enumerate(in_order) if k not in drawn)
    assert figures["accuracy"] == right / len(recorded)


@pytest.mark.parametrize("text", ["", None, "I would rather not.", "Action: fly\nInput: up", '{"a": [', "Action:"])
def test_text_that_cannot_be_read_is_an_error_not_a_guess(
    server: tuple[Server, str], tmp_path: Path, text: str | None
) -> None:
    from spark_framework.host.lifecycle import open_tools
    from spark_framework.policy.action_space import ActionSpace
    from spark_framework.policy.factory import open_policy
    from spark_framework.questions.practice import PracticeConfig, PracticeQuestions

    state, url = server
    state.reply = lambda request: completion(text)
    config = RunConfig.model_validate(settings(tmp_path / "run", url))
    with open_tools(config.tools) as tools:
        policy = open_policy(config.policy, ActionSpace.of(tools))
    batch = policy.start(PracticeQuestions(PracticeConfig(families=("arithmetic",)), 0).train(0, 1))
    (free,) = batch.act((*TOOLS, "think", "answer"), Sampling(0.0, 10), [0])
    assert free.arguments is None
    assert free.error is not None
    assert free.error.startswith("error: name the action")
    ((forced,),) = batch.propose([["stats_finance"]], Sampling(0.0, 10), [0])
    assert (forced.action, forced.arguments) == ("stats_finance", None)
    assert forced.error is not None


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((401, '{"error": {"message": "no key"}}'), "refuses 'm': "),
        ((404, '{"error": {"message": "no such model"}}'), "no such model"),
        ((503, "{}"), "returned 503; run the same command again later"),
        ((200, '{"choices": []}'), "does not support chat completions"),
        ((200, '{"hello": "world"}'), "does not support chat completions"),
        ((200, "<html>"), "does not support chat completions"),
    ],
    ids=["401", "404", "503", "no choice", "other JSON", "no JSON"],
)
def test_what_a_server_may_do_instead(
    server: tuple[Server, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], reply: Answer, told: str
) -> None:
    state, url = server
    state.reply = lambda request: reply
    assert main(["generate", str(config_file(tmp_path, settings(tmp_path / "run", url)))]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: policy: {url} ")
    assert told in err
    assert err.count("\n") == 1


def test_no_server_is_listening(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    closed = settings(tmp_path / "run", "http://127.0.0.1:9/v1")
    assert main(["generate", str(config_file(tmp_path, closed))]) == 2
    err = capsys.readouterr().err
    assert "policy: no answer from http://127.0.0.1:9/v1" in err
    assert err.count("\n") == 1
