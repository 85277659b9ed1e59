"""A jury: its members' mean, median, votes and spread, and what happens when one of them fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from spark_framework.api import Candidate, ComponentConfig, Judge, JudgeError, JudgeRequest, Question, Step, Verdict
from spark_framework.config.judging import JudgingSection
from spark_framework.errors import ConfigError, RunError, UserError
from spark_framework.host.component_spec import parse_spec
from spark_framework.host.manager import Host
from spark_framework.judging.runner import JudgeRunner, open_judging
from spark_plugin_judges.jury import Jury
from spark_plugin_judges.local.contrast import Contrast
from spark_plugin_judges.scripted import Scripted
from spark_plugin_judges.verifier import Verifier
from tests.judging.asking import Asking, Server

QUESTION = Question(id="q", text="What is 6*7?", options=("40", "42"), answer=1, category="math", source="test")
CANDIDATES = tuple(Candidate(action=name, arguments={}, observation="42", ok=True) for name in ("a", "b", "c"))
STEP = JudgeRequest(question=QUESTION, steps=(), candidates=CANDIDATES, seed=5)


class Fails(Judge):
    """Fails in the way that its settings name, or gives a score too few."""

    name = "fails"

    class Config(ComponentConfig):
        kind: str = "refusal"

    def score(self, request: JudgeRequest) -> Verdict:
        if self.config.kind == "user":
            raise UserError("set something")
        if self.config.kind == "short":
            return Verdict(scores=(1.0,), process_ok=(True,), judge=self.name, fingerprint="f")
        raise JudgeError("would not", self.config.kind)


class Sees(Judge):
    """Remembers what it was shown."""

    name = "sees"

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self.seen: list[JudgeRequest] = []
        self.calls: list[str] = []

    def prepare(self) -> None:
        self.calls.append("prepare")

    def close(self) -> None:
        self.calls.append("close")

    def score(self, request: JudgeRequest) -> Verdict:
        self.seen.append(request)
        n = len(request.candidates)
        return Verdict(scores=(5.0,) * n, process_ok=(True,) * n, judge=self.name, fingerprint="f")


def says(a: float, b: float, c: float, *sound: str) -> Scripted:
    process_ok = {name: name in sound for name in "abc"}
    return Scripted(Scripted.Config(scores={"a": a, "b": b, "c": c}, process_ok=process_ok))


def jury(*members: Any, **settings: Any) -> Jury:
    return Jury(Jury.Config(members=members, **settings))


def fails(kind: str) -> Fails:
    return Fails(Fails.Config(kind=kind))


# -- what the members say ------------------------------------------------------------------------------------------

THREE = (says(2, 10, 6, "a", "b"), says(4, 10, 7, "b"), says(9, 10, 9, "b", "c"))


def test_scores_are_the_mean_and_the_spread_is_kept() -> None:
    verdict = jury(*THREE).score(STEP)
    assert verdict.scores == pytest.approx((5, 10, 22 / 3))
    assert verdict.spread == pytest.approx(((26 / 3) ** 0.5, 0, (14 / 9) ** 0.5))
    assert verdict.reason == "scripted 2 10 6; scripted 4 10 7; scripted 9 10 9"
    assert verdict.judge == "jury"


def test_the_median_is_the_other_choice() -> None:
    assert jury(*THREE, aggregate="median").score(STEP).scores == (4, 10, 7)


def test_process_ok_is_the_majority_and_a_tie_is_not_one() -> None:
    assert jury(*THREE).score(STEP).process_ok == (False, True, False)
    assert jury(*THREE[:2]).score(STEP).process_ok == (False, True, False)
    assert jury(*THREE, says(0, 0, 0, "a", "b", "c")).score(STEP).process_ok == (False, True, False)


def test_a_mean_of_tens_is_ten() -> None:
    judges = [says(10, 10, 10)] + [
        Scripted(Scripted.Config(default_score=10, process_ok={str(k): True})) for k in range(6)
    ]
    assert jury(*judges).score(STEP).scores == (10, 10, 10)


# -- who may be missing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["refusal", "invalid", "transient", "short"])
def test_without_a_quorum_all_have_to_answer(kind: str) -> None:
    with pytest.raises(JudgeError, match="no quorum of 3 out of 3 members: fails gave no verdict") as caught:
        jury(*THREE[:2], fails(kind)).score(STEP)
    assert caught.value.kind == ("invalid" if kind == "short" else kind)


@pytest.mark.parametrize("kind", ["refusal", "invalid", "transient", "short"])
def test_with_a_quorum_a_missing_member_is_named_and_counts_for_nothing(kind: str) -> None:
    verdict = jury(fails(kind), *THREE[:2], quorum=2).score(STEP)
    assert verdict.scores == (3, 10, 6.5)
    assert verdict.spread == (1, 0, 0.5)
    assert verdict.reason.startswith("scripted 2 10 6; scripted 4 10 7; fails gave no verdict (")


def test_too_few_answers_are_no_verdict_and_the_rest_is_not_asked() -> None:
    last = Sees()
    with pytest.raises(JudgeError, match=r"no quorum of 2 .*refusal: would not.*transient: would not"):
        jury(fails("refusal"), fails("transient"), last, quorum=2).score(STEP)
    assert last.seen == []


@pytest.mark.parametrize("kind", ["config", "budget"])
def test_what_only_the_user_can_mend_is_never_a_missing_member(kind: str) -> None:
    with pytest.raises(JudgeError, match="would not") as caught:
        jury(*THREE, fails(kind), quorum=1).score(STEP)
    assert caught.value.kind == kind
    with pytest.raises(UserError, match="set something"):
        jury(*THREE, fails("user"), quorum=1).score(STEP)


# -- gold ----------------------------------------------------------------------------------------------------------


def test_a_jury_is_an_oracle_when_a_member_is() -> None:
    assert not Jury.uses_gold
    assert not jury(*THREE).uses_gold
    assert jury(Verifier(), THREE[0]).uses_gold
    assert jury(jury(Verifier(), THREE[0]), THREE[1]).uses_gold


def test_a_member_that_is_not_an_oracle_does_not_see_the_answer() -> None:
    """The host shows the answer to the jury, because of the other member."""
    sees = Sees()
    before = Step(
        candidates=CANDIDATES, verdict=Verdict(scores=(9, 9, 9), process_ok=(True,) * 3, judge="v", fingerprint="f")
    )
    request = STEP.model_copy(update={"steps": (before,)})
    verdict = Host().calls.judge_step(jury(sees, Verifier()), request)
    assert verdict.scores == (7, 7, 7)  # (5 + 9) / 2
    (shown,) = sees.seen
    assert shown.question.answer is None
    assert shown.steps[0].verdict is None
    assert shown.seed == request.seed


# -- settings ------------------------------------------------------------------------------------------------------


def test_members_are_chosen_by_name_with_their_settings() -> None:
    data = {"members": ["verifier", {"use": "scripted", "default_score": 3}], "quorum": 1}
    config = Jury.Config.model_validate(data)
    assert [member.name for member in Jury(config).parts()] == ["verifier", "scripted"]
    written = json.loads(config.model_dump_json())
    assert written["members"][1]["use"] == "scripted"
    assert Jury(Jury.Config.model_validate(written)).fingerprint() == Jury(config).fingerprint()
    assert Jury.Config.model_json_schema()["properties"]["members"]["minItems"] == 2


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"members": ["scripted"]}, "at least 2"),
        ({"members": ["scripted", "scripted"]}, "scripted is listed twice with the same settings"),
        ({"members": ["scripted", "verifier"], "quorum": 3}, "cannot be met by 2 members"),
        ({"members": ["scripted", {"use": "verifier", "x": 1}]}, "unknown key"),
        ({"members": ["scripted", "verifier"], "aggregate": "mode"}, "aggregate"),
    ],
)
def test_a_jury_that_makes_no_sense_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        parse_spec("judge", {"use": "spark_plugin_judges.jury:Jury", **settings})


def test_the_fingerprint_covers_members_and_settings() -> None:
    juries = [
        jury(*THREE), jury(*THREE[::-1]), jury(*THREE[:2]), jury(*THREE, aggregate="median"), jury(*THREE, quorum=2)
    ]  # fmt: skip
    assert len({one.fingerprint() for one in juries}) == len(juries)
    assert jury(*THREE).fingerprint() == jury(*THREE).fingerprint()
    assert jury(*THREE).score(STEP).fingerprint == jury(*THREE).fingerprint()


def test_members_are_prepared_and_closed_with_the_jury() -> None:
    sees = Sees()
    one = jury(sees, THREE[0])
    one.prepare()
    one.close()
    assert sees.calls == ["prepare", "close"]


def test_a_member_that_is_not_ready_stops_the_jury_at_the_start() -> None:
    with pytest.raises(UserError, match="needs a calibration map"):
        jury(Contrast(), THREE[0]).prepare()


# -- in a session --------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def asking(server: Server, model: str) -> Asking:
    return Asking(Asking.Config(url=server.url, model=model))


def opened(path: Path, judge: Judge, **terms: Any) -> Any:
    return open_judging(Host().calls, path, JudgingSection(**terms), "run", [judge])


def judged(session: JudgeRunner, judge: Judge) -> Any:
    return session.judge_all(judge, [STEP])[0]


def test_members_ask_through_the_session_and_share_replies_with_runs_of_their_own(
    server: Server, tmp_path: Path
) -> None:
    alone, together = asking(server, "m1"), jury(asking(server, "m1"), asking(server, "m2"), THREE[0])
    with opened(tmp_path / "judge.sqlite", alone) as session:
        assert judged(session, alone).scores == (7, 7, 7)
    with opened(tmp_path / "judge.sqlite", together) as session:
        assert judged(session, together).scores == pytest.approx((16 / 3, 8, 20 / 3))
        assert session.client.attempts == 1
        assert session.client.store.spent("run") == pytest.approx(2.0)
    with opened(tmp_path / "judge.sqlite", together, mode="only") as session:
        assert judged(session, together).scores == pytest.approx((16 / 3, 8, 20 / 3))
    assert sum(server.asked.values()) == 2


def test_a_used_up_budget_ends_the_run_also_with_a_quorum(server: Server, tmp_path: Path) -> None:
    together = jury(asking(server, "m1"), asking(server, "m2"), THREE[0], quorum=1)
    with opened(tmp_path / "judge.sqlite", together, budget=1.5) as session, pytest.raises(RunError, match="budget"):
        judged(session, together)
    assert sum(server.asked.values()) == 1


def test_a_member_s_wrong_settings_end_the_command(server: Server, tmp_path: Path) -> None:
    together = jury(asking(server, "m1"), THREE[0], quorum=1)
    server.plan["q"] = ["config"]
    with opened(tmp_path / "judge.sqlite", together) as session, pytest.raises(ConfigError, match="status 503"):
        judged(session, together)
