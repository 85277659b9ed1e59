"""Another judge on stored candidates: nothing is generated, nothing is asked twice, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spark_framework import Trajectory, TrajectoryStore, generate, rejudge
from spark_framework.api import ComponentConfig, Judge, JudgeRequest, UserError, Verdict
from spark_framework.runs.decisions import judged_decisions
from spark_framework.runs.run_dir import existing_run
from spark_framework.runs.verdicts import VerdictFile
from spark_framework.studies.rejudge import estimate_rejudging
from tests.plugins.judges.server import Answer, JudgeServer
from tests.studies.noisy import Noisy

Command = Callable[..., tuple[int, str, str]]
NOISY = {"use": "tests.studies.noisy:Noisy", "taste": 3}


def states(run: Path) -> int:
    return len(judged_decisions(existing_run(run)))


def generated(run: Path) -> dict[str, bytes]:
    """All that generation wrote."""
    return {name: (run / name).read_bytes() for name in ("run.json", "trajectories.jsonl", "trajectories.commits")}


def served(judge: str, server: JudgeServer, **settings: Any) -> dict[str, Any]:
    return {"use": judge, "base_url": server.url + ("/v1" if judge == "gpt4o" else ""), **settings}


class Longest(Judge):
    """10 for the longest input, else 0."""

    name = "longest"

    class Config(ComponentConfig):
        best: float = 10.0

    closed = 0

    def score(self, request: JudgeRequest) -> Verdict:
        lengths = [len(str(candidate.arguments)) for candidate in request.candidates]
        scores = tuple(self.config.best if length == max(lengths) else 0.0 for length in lengths)
        return Verdict(scores=scores, process_ok=(True,) * len(scores), judge="longest", fingerprint=self.fingerprint())

    def close(self) -> None:
        self.closed += 1


# -- what is stored ------------------------------------------------------------------------------------------------


def test_every_state_gets_the_other_judge_s_verdict_and_nothing_is_generated(run: Path) -> None:
    before = generated(run)
    done = rejudge(run, NOISY)
    assert done.file == run / "rejudged" / "noisy.jsonl"
    assert (done.states, done.judged, done.calls, done.failures) == (states(run), states(run), states(run), ())
    verdicts = VerdictFile(done.file).read()
    for state in judged_decisions(existing_run(run)):
        assert len(verdicts[state.digest].scores) == len(state.step.candidates)
        assert verdicts[state.digest].judge == "noisy"
    assert generated(run) == before


def test_lines_are_in_the_stored_order_and_say_what_they_belong_to(run: Path) -> None:
    lines = [json.loads(line) for line in rejudge(run, NOISY).file.read_text().splitlines()]
    wanted = [(s.trajectories[0], s.number, s.question.id, s.digest) for s in judged_decisions(existing_run(run))]
    assert [(line["trajectory"], line["step"], line["question_id"], line["digest"]) for line in lines] == wanted


def test_the_run_s_own_judge_repeats_its_verdicts_in_the_same_order(run: Path) -> None:
    own = existing_run(run).config.judge
    verdicts = VerdictFile(rejudge(run, {"use": own.use, **own.config.model_dump()}, name="own").file).read()
    for state in judged_decisions(existing_run(run)):
        assert verdicts[state.digest].scores == state.verdict.scores
        assert verdicts[state.digest].order == state.verdict.order


def test_a_repeat_asks_in_another_order_and_has_a_file_of_its_own(run: Path) -> None:
    first, second = rejudge(run, NOISY), rejudge(run, NOISY, repeat=1)
    assert second.file == run / "rejudged" / "noisy.1.jsonl"
    assert second.calls > 0.8 * states(run)  # a few of four candidates happen to come in the same order
    orders = [[v.order for v in VerdictFile(done.file).read().values()] for done in (first, second)]
    assert orders[0] != orders[1]


def test_twice_costs_nothing(run: Path, command: Command, server: JudgeServer) -> None:
    for judge in ("gpt4o", "claude"):
        words = ("rejudge", run, "--judge", judge, "--set", f"judge.base_url={served(judge, server)['base_url']}")
        assert f"{states(run)} calls, $0.0000" in command(*words)[1]
        text, asked = (run / "rejudged" / f"{judge}.jsonl").read_bytes(), len(server.requests)
        code, out, _ = command(*words)
        assert (code, len(server.requests)) == (0, asked)
        assert f"{states(run)} of {states(run)} states (0 now), 0 calls, $0.0000" in out
        assert (run / "rejudged" / f"{judge}.jsonl").read_bytes() == text


def test_a_deleted_file_comes_back_from_the_stored_replies(run: Path) -> None:
    done = rejudge(run, NOISY)
    text = done.file.read_bytes()
    done.file.unlink()
    again = rejudge(run, NOISY)
    assert (again.judged, again.calls, again.file.read_bytes()) == (states(run), 0, text)


def test_another_path_to_the_same_run_is_the_same_ledger(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rejudge(run, NOISY)
    monkeypatch.chdir(run)
    limit = f"judging.budget={0.0001 * states(run)}"  # all of it is spent: 100 tokens a call at a dollar a million
    with pytest.raises(UserError, match="the budget of"):
        rejudge(Path("../run"), NOISY, repeat=1, overrides=[limit])


def test_refresh_asks_again_and_the_new_verdicts_count(run: Path, server: JudgeServer) -> None:
    judge = served("gpt4o", server)
    rejudge(run, judge)
    done = rejudge(run, judge, overrides=["judging.mode=refresh"])
    assert done.calls == states(run)
    assert len(VerdictFile(done.file).read()) == states(run)


def test_only_sends_no_request_and_reports_what_is_missing(run: Path) -> None:
    with pytest.raises(UserError, match=r"judging\.mode is `only`"):
        rejudge(run, NOISY, overrides=["judging.mode=only"])
    assert Noisy.asked == 0


# -- judges of all kinds -------------------------------------------------------------------------------------------


def test_a_class_and_an_instance_do_as_well_as_a_name(run: Path) -> None:
    by_class = VerdictFile(rejudge(run, Longest, name="a").file).read()
    judge = Longest(Longest.Config(best=9))
    by_instance = VerdictFile(rejudge(run, judge, name="b").file).read()
    for digest, verdict in by_class.items():
        assert set(verdict.scores) == {10.0, 0.0} or set(verdict.scores) == {10.0}
        assert by_instance[digest].scores == tuple(0.9 * score for score in verdict.scores)
    assert judge.closed == 1


def test_an_instance_can_be_called_by_hand(run: Path) -> None:
    judge = Noisy(Noisy.Config(taste=3))
    rejudge(run, judge)
    state = judged_decisions(existing_run(run))[0]
    stored = VerdictFile(run / "rejudged" / "noisy.jsonl").read()[state.digest]
    assert judge.score(state.request(existing_run(run).config.seed)).scores == stored.scores


def test_a_class_without_a_file_is_told_from_its_next_version(run: Path) -> None:
    """As in a notebook: the class is changed, the name stays."""

    def written(best: int) -> type[Judge]:
        source = f"""
class Flat(Judge):
    name = "flat"
    def score(self, request):
        if request.question.category in {{"chemistry", "math", "physics", "geography"}}:
            pass
        n = len(request.candidates)
        return Verdict(scores=({best}.0,) * n, process_ok=(True,) * n, judge="flat", fingerprint=self.fingerprint())
"""
        space = {"Judge": Judge, "Verdict": Verdict, "__name__": "builtins"}  # a module that has no file
        exec(source, space)
        found = space["Flat"]
        assert isinstance(found, type)
        return found

    rejudge(run, written(3))
    assert rejudge(run, written(3)).judged == 0
    with pytest.raises(UserError, match="other code; choose another name"):
        rejudge(run, written(4))


def test_a_judge_in_a_file_of_its_own_does_not_change_with_its_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "from spark_framework.api import Judge, Verdict\n"
        "class Alone(Judge):\n"
        "    name = 'alone'\n"
        "    def score(self, request):\n"
        "        n = len(request.candidates)\n"
        "        return Verdict(scores=(1.0,) * n, process_ok=(True,) * n, judge='alone', fingerprint='f')\n"
    )
    (tmp_path / "alone_judge.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert rejudge(run, "alone_judge:Alone").judged == states(run)
    (tmp_path / "notes.md").write_text("the run's own files lie in this folder, too")
    assert rejudge(run, "alone_judge:Alone").judged == 0


def test_other_settings_are_not_mixed_into_one_file(run: Path) -> None:
    rejudge(run, NOISY)
    with pytest.raises(UserError, match=r"noisy\.jsonl holds the verdicts of a judge with other settings"):
        rejudge(run, {**NOISY, "taste": 4})
    assert rejudge(run, {**NOISY, "taste": 4}, name="other").judged == states(run)


def test_failures_are_named_left_out_and_tried_again(run: Path, server: JudgeServer, command: Command) -> None:
    server.plan[:] = [Answer(refusal="I would rather not")]
    words = ("rejudge", run, "--judge", "gpt4o", "--set", f"judge.base_url={server.url}/v1",
             "--set", "judging.concurrency=1")  # fmt: skip
    code, out, _ = command(*words)
    first = judged_decisions(existing_run(run))[0]
    assert code == 0
    assert f"{states(run) - 1} of {states(run)} states" in out
    assert (
        f"failed on 1 states, which stay without a verdict (refusal 1; by category: {first.question.category} 1)" in out
    )
    assert first.digest not in VerdictFile(run / "rejudged" / "gpt4o.jsonl").read()
    assert f"{states(run)} of {states(run)} states (1 now), 1 calls" in command(*words)[1]


# -- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--judge", "nobody"], "nobody"),
        (["--judge", "verifier", "--name", "a/b"], "is not a valid file name"),
        (["--judge", "verifier", "--repeat", "-1"], "repeat: -1"),
        (["--judge", "scripted", "--set", "judge.scors.x=1"], "judge.scors: unknown key"),
        (["--judge", "scripted", "--set", "threshold=3"], "threshold: unknown key"),
        (["--judge", "replay", "--set", "judge.verdicts=none.jsonl"], "none.jsonl"),
        (["--judge", "contrast"], "needs a calibration map; fit one with `spark-framework calibrate"),
    ],
)
def test_a_mistake_is_one_line(run: Path, command: Command, words: list[str], reason: str) -> None:
    code, out, err = command("rejudge", run, *words)
    assert (code, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1


def test_a_missing_key_is_reported_before_the_first_request(
    run: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    code, _, err = command("rejudge", run, "--judge", "gpt4o")
    assert code == 2
    assert "set the variable OPENAI_API_KEY" in err


def test_a_run_without_trajectories_is_a_clear_line(tiny: Path, tmp_path: Path, command: Command) -> None:
    from spark_framework.runs.run_dir import open_run
    from tests.runs import config

    open_run(config(tiny, tmp_path / "new"))
    code, _, err = command("rejudge", tmp_path / "new", "--judge", "verifier")
    assert code == 2
    assert "has no judged trajectories; create them with `spark-framework generate" in err


# -- killed --------------------------------------------------------------------------------------------------------


def test_killed_in_the_middle_it_ends_with_the_same_file(run: Path, tmp_path: Path, server: JudgeServer) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(run, whole)
    rejudge(whole, served("gpt4o", server))
    undisturbed, total = (whole / "rejudged" / "gpt4o.jsonl").read_bytes(), server.asked.total()
    server.latency = 0.1
    words = [sys.executable, "-m", "spark_framework", "rejudge", str(run), "--judge", "gpt4o",
             "--set", f"judge.base_url={server.url}/v1", "--set", "judging.concurrency=2"]  # fmt: skip
    killed = subprocess.Popen(words, env={**os.environ}, stdout=subprocess.DEVNULL)
    while server.asked.total() < total + 6:
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = server.asked.total()
    server.latency = 0.0
    assert subprocess.run(words, env={**os.environ}, check=False, stdout=subprocess.DEVNULL).returncode == 0
    assert (run / "rejudged" / "gpt4o.jsonl").read_bytes() == undisturbed
    assert server.asked.total() - before < states(run)  # what was answered is not asked again
    assert server.asked.total() - total <= states(run) + 2  # but for what was on its way


def test_half_a_line_is_cut_off(run: Path) -> None:
    done = rejudge(run, NOISY)
    text = done.file.read_bytes()
    done.file.write_bytes(text[: len(text) // 2])
    again = rejudge(run, NOISY)
    assert again.file.read_bytes() == text
    assert 0 < again.judged < states(run)
    assert again.calls == 0


def test_two_at_a_time_are_refused(run: Path, command: Command) -> None:
    with existing_run(run).locked():
        code, _, err = command("rejudge", run, "--judge", "verifier")
    assert code == 2
    assert "in use by another process" in err


# -- money ---------------------------------------------------------------------------------------------------------


def test_an_estimate_tells_calls_tokens_and_price_and_spends_nothing(
    run: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key, and with the list price of the model."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    before = sorted(run.rglob("*"))
    code, out, _ = command("rejudge", run, "--judge", "gpt4o", "--estimate")
    assert code == 0
    assert f"judge gpt4o (gpt-4o-2024-11-20): {states(run)} calls, " in out
    words = out.replace(",", "").split()
    tokens_in, tokens_out = int(words[words.index("tokens") - 1]), int(words[words.index("out") - 1])
    live = tokens_in * 2.5e-6 + tokens_out * 10e-6
    assert f"${live:,.2f} (in batches ${live / 2:,.2f})" in out
    assert {p.name for p in set(run.rglob("*")) - set(before)} <= {
        "judge.sqlite",
        "judge.sqlite-wal",
        "judge.sqlite-shm",
    }
    assert not (run / "rejudged").exists()


def test_an_estimate_is_close_to_what_the_requests_hold_and_counts_only_what_is_missing(run: Path) -> None:
    first = estimate_rejudging(run, NOISY).estimates[0]
    assert (first.calls, first.usd) == (states(run), pytest.approx(first.input_tokens * 1e-6))
    rejudge(run, NOISY)
    assert [one.calls for one in estimate_rejudging(run, NOISY).estimates] == [0]
    assert Noisy.asked == states(run)
    (run / "rejudged" / "noisy.jsonl").unlink()  # the replies are still there
    assert [one.calls for one in estimate_rejudging(run, NOISY).estimates] == [0]


def test_a_local_judge_s_estimate_is_zero(run: Path, command: Command) -> None:
    assert "no judge sends requests: 0 calls, $0.00" in command("rejudge", run, "--judge", "verifier", "--estimate")[1]


def test_the_budget_stops_before_it_is_exceeded_and_a_higher_one_goes_on(run: Path, command: Command) -> None:
    """A call costs 100 tokens at a dollar each million; before it, its worst case has to fit."""
    words = ("rejudge", run, "--judge", NOISY["use"], "--name", "noisy", "--set", "judging.concurrency=1",
             "--set", "judge.dollars=1")  # fmt: skip
    code, _, err = command(*words, "--set", "judging.budget=0.001")
    assert code == 2
    assert "the budget of $0.001 is used up" in err
    assert "raise judging.budget and run the same command again" in err
    assert 0 < Noisy.asked <= 10
    asked = Noisy.asked
    assert command(*words, "--set", "judging.budget=1")[0] == 0
    assert Noisy.asked == states(run)
    assert asked < states(run)


@pytest.mark.parametrize("judge", ["gpt4o", "claude"])
def test_a_batch_gives_the_verdicts_of_single_requests(
    judge: str, run: Path, tmp_path: Path, server: JudgeServer, command: Command
) -> None:
    single = tmp_path / "single"
    shutil.copytree(run, single)
    rejudge(single, served(judge, server))
    server.requests.clear()
    words = ("rejudge", run, "--judge", judge, "--set", f"judge.base_url={served(judge, server)['base_url']}",
             "--batch", "--set", "judging.batch_poll=0.01")  # fmt: skip
    assert command(*words)[0] == 0
    assert server.stats()["batches"] == 1
    assert not [asked for asked in server.requests if asked.path in ("/v1/chat/completions", "/v1/messages")]
    names = ("scores", "process_ok", "order")
    by_batch, by_single = (
        {d: [getattr(v, n) for n in names] for d, v in VerdictFile(r / "rejudged" / f"{judge}.jsonl").read().items()}
        for r in (run, single)
    )
    assert by_batch == by_single


# -- what a judge may see ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", ["gpt4o", "claude"])
def test_no_model_is_shown_the_stored_answer_even_in_a_jury_with_an_oracle(
    judge: str, run: Path, tmp_path: Path, server: JudgeServer
) -> None:
    """With another stored answer, and without a plan, the very same bytes are sent."""
    other = tmp_path / "other"
    shutil.copytree(run, other, ignore=shutil.ignore_patterns("trajectories.*"))
    TrajectoryStore(other / "trajectories.jsonl").append(
        "explore", [_with_another_answer(t) for t in TrajectoryStore(run / "trajectories.jsonl").read()], next_index=12
    )
    jury = {"use": "jury", "members": ["verifier", served(judge, server)]}
    sent: list[set[bytes]] = []
    for folder, asked in ((run, served(judge, server)), (run, jury), (other, jury)):
        server.requests.clear()
        shutil.rmtree(folder / "rejudged", ignore_errors=True)
        (folder / "judge.sqlite").unlink(missing_ok=True)
        assert rejudge(folder, asked).calls == states(run)
        sent.append({request.body for request in server.requests})
    assert sent[0] == sent[1] == sent[2]
    assert len(sent[0]) == states(run)
    assert not any(b"open secret" in body for body in sent[2])


def _with_another_answer(trajectory: Trajectory) -> Trajectory:
    question = trajectory.question
    assert question.answer is not None
    other = {"answer": (question.answer + 1) % len(question.options), "plan": ()}
    steps = [
        step.model_copy(update={"verdict": step.verdict.model_copy(update={"reason": "an open secret"})})
        if step.verdict else step for step in trajectory.steps
    ]  # fmt: skip
    return trajectory.model_copy(update={"question": question.model_copy(update=other), "steps": tuple(steps)})


def test_members_of_a_jury_see_the_answer_only_where_they_declare_it(run: Path) -> None:
    seen: dict[str, set[bool]] = {}

    class Spy(Longest):
        name = "spy"

        def score(self, request: JudgeRequest) -> Verdict:
            known = request.question.answer is not None or bool(request.question.plan)
            seen.setdefault(self.name, set()).add(known or any(step.verdict for step in request.steps))
            return super().score(request)

    class Oracle(Spy):
        name = "oracle"
        uses_gold = True

    rejudge(run, {"use": "jury", "members": [Oracle, Spy]})
    rejudge(run, Spy)
    assert seen == {"oracle": {True}, "spy": {False}}


def test_the_same_holds_while_a_run_is_generated(tiny: Path, tmp_path: Path, server: JudgeServer) -> None:
    from tests.runs import config

    def sent(judge: Any, folder: str) -> set[bytes]:
        server.requests.clear()
        rounds = [{"name": "demonstrations", "proposer": "scripted", "questions": 3}]
        generate(config(tiny, tmp_path / folder, judge=judge, stages={}, rollouts=rounds))
        return {request.body for request in server.requests}

    alone = sent(served("gpt4o", server), "alone")
    assert len(alone) == 3
    assert sent({"use": "jury", "members": ["verifier", served("gpt4o", server)]}, "beside") == alone
