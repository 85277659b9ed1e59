"""Recorded verdicts are given again, found by what was judged; what was not recorded gets none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spark_framework.api import Candidate, JudgeError, JudgeRequest, Question, Step, UserError, Verdict
from spark_framework.runs.run_dir import existing_run
from spark_framework.runs.verdicts import RecordedVerdict, VerdictFile, step_digest
from spark_plugin_judges.replay import Replay
from spark_plugin_judges.verifier import Verifier

QUESTION = Question(id="q7", text="What is 6*7?", options=("40", "42"), answer=1, category="math", source="test")
VERDICT = Verdict(
    scores=(3, 8), process_ok=(False, True), judge="gpt4o", fingerprint="f00", reason="model gpt-4o", order=(1, 0),
    usage={"prompt_tokens": 2250}, spread=(0.5, 0.1), request="key",
)  # fmt: skip


def call(action: str, observation: str | None = "42", **fields: Any) -> Candidate:
    return Candidate(**{"action": action, "arguments": {"x": 1}, "observation": observation, "ok": True, **fields})


TWO = (call("search", "nothing"), call("calculator"))


def request(*before: Candidate, **changes: Any) -> JudgeRequest:
    steps = tuple(Step(candidates=(candidate,)) for candidate in before)
    return JudgeRequest(**{"question": QUESTION, "steps": steps, "candidates": TWO, "seed": 1, **changes})


def recorded(path: Path, *requests: JudgeRequest, verdict: Verdict = VERDICT) -> Replay:
    lines = [
        RecordedVerdict(
            trajectory=f"explore/{k}/0", step=len(one.steps), question_id=one.question.id, digest=step_digest(one),
            verdict=verdict,
        )
        for k, one in enumerate(requests)
    ]  # fmt: skip
    VerdictFile(path).append(lines)
    return replay(path)


def replay(path: Path) -> Replay:
    return Replay(Replay.Config(verdicts=path))


def test_the_recorded_verdict_is_returned_and_names_its_judge(tmp_path: Path) -> None:
    judge = recorded(tmp_path / "gpt4o.jsonl", request())
    judge.prepare()
    verdict = judge.score(request())
    assert verdict == VERDICT.model_copy(
        update={
            "judge": "replay", "fingerprint": judge.fingerprint(), "usage": {},
            "reason": "recorded from gpt4o f00: model gpt-4o",
        }
    )  # fmt: skip


def test_a_step_is_found_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    """Another seed, machine and policy, with or without the answer: the judge saw the same."""
    judge = recorded(tmp_path / "v.jsonl", request(call("think")))
    step = Step(candidates=(call("python"), call("think", token_ids=(9,))), chosen=1, verdict=VERDICT)
    candidates = tuple(one.model_copy(update={"token_ids": (1, 2), "token_logprobs": (-0.5, -1)}) for one in TWO)
    same = request(steps=(step,), candidates=candidates, seed=99, question=QUESTION.without_gold())
    assert judge.score(same).scores == (3, 8)


OTHER = {
    "question": request(question=QUESTION.model_copy(update={"text": "What is 6*8?"})),
    "options": request(question=QUESTION.model_copy(update={"options": ("42", "40")})),
    "steps": request(call("think")),
    "action": request(candidates=(TWO[0], call("solver"))),
    "arguments": request(candidates=(TWO[0], call("calculator", arguments={"x": 2}))),
    "observation": request(candidates=(TWO[0], call("calculator", "43"))),
    "not run": request(candidates=(TWO[0], call("calculator", None, ok=None))),
    "order": request(candidates=TWO[::-1]),
    "fewer": request(candidates=TWO[:1]),
}


@pytest.mark.parametrize("change", OTHER)
def test_a_step_that_was_not_recorded_gets_no_verdict(tmp_path: Path, change: str) -> None:
    judge = recorded(tmp_path / "v.jsonl", request())
    with pytest.raises(JudgeError, match=r"no verdict on question 'q7', step \d") as caught:
        judge.score(OTHER[change])
    assert caught.value.kind == "invalid"


def test_the_fingerprint_covers_the_verdicts_and_not_their_place(tmp_path: Path) -> None:
    one = recorded(tmp_path / "a.jsonl", request(), request(call("think")))
    same = recorded(tmp_path / "b.jsonl", request(call("think")), request())
    other = recorded(
        tmp_path / "c.jsonl", request(), request(call("think")), verdict=VERDICT.model_copy(update={"scores": (3, 7)})
    )
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()


def test_a_run_folder_replays_its_own_verdicts(demonstrations: Any, tmp_path: Path) -> None:
    folder = demonstrations(tmp_path / "run")
    judge = replay(folder)
    judge.prepare()
    judged = 0
    for trajectory in existing_run(folder).trajectories().read():
        for number, step in enumerate(trajectory.steps):
            if step.verdict is not None:
                asked = JudgeRequest(
                    question=trajectory.question, steps=trajectory.steps[:number], candidates=step.candidates
                )
                verdict = judge.score(asked.without_gold())
                assert (verdict.scores, verdict.process_ok) == (step.verdict.scores, step.verdict.process_ok)
                assert verdict.reason.startswith(f"recorded from verifier {Verifier().fingerprint()}: ")
                judged += 1
    assert judged > 10


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "holds no verdicts"),
        ("", "holds no verdicts"),
        ('{"trajectory": "t"', "holds no verdicts"),  # a last line without its end was never there
        ("{}\n", "line 1"),
        ("nonsense\n", "line 1"),
    ],
)
def test_a_file_without_verdicts_is_a_clear_line(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "v.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=reason):
        replay(path).prepare()
    with pytest.raises(JudgeError, match=reason) as caught:
        replay(path).score(request())
    assert caught.value.kind == "config"


def test_a_folder_that_is_not_a_run_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run folder"):
        replay(tmp_path).prepare()
