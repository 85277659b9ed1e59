"""The verifier's arithmetic, line by line, and the scripted judge."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from spark_framework.api import Call, Candidate, JudgeError, JudgeRequest, Question, Step, Verdict
from spark_plugin_judges.scripted import Scripted
from spark_plugin_judges.verifier import Verifier

MOLES = Question(
    id="moles",
    text="How many moles are in 36.03 g of H2O?",
    options=("2 mol", "18.02 mol", "0.5 mol"),
    answer=0,
    category="chemistry",
    source="test",
    plan=(
        (Call(action="science", arguments={"op": "molar_mass", "formula": "H2O"}),),
        (Call(action="calculator", arguments={"expression": "36.03/18.015"}),),
    ),
)


def ran(action: str, observation: str | None, *, ok: bool | None = True, **arguments: object) -> Candidate:
    return Candidate(action=action, arguments=arguments, observation=observation, ok=ok)


def took(candidate: Candidate) -> Step:
    verdict = Verdict(scores=(7,), process_ok=(True,), judge="test", fingerprint="f")
    return Step(candidates=(candidate,), verdict=verdict)


def judge(candidate: Candidate, *before: Candidate, question: Question = MOLES) -> tuple[float, bool]:
    request = JudgeRequest(question=question, steps=tuple(map(took, before)), candidates=(candidate,))
    verdict = Verifier().score(request)
    return verdict.scores[0], verdict.process_ok[0]


MASS = ran("science", "molar mass 18.015 g/mol", op="molar_mass", formula="H2O")
WRONG = ran("search", "18.02 mol", query="moles")
FAILED = ran("python", "error: no such name", ok=False, code="x")
LONG = "The result of all these operations, written out at length. " * 4


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (Candidate(action="python", arguments=None, error="not JSON"), (0, False)),
        (FAILED, (1, False)),
        (WRONG, (2, False)),
        (ran("encyclopedia", "Cats are mammals", query="cats"), (2, False)),
        (ran("encyclopedia", "Amount of substance", query="moles"), (3, False)),
        (ran("calculator", "1297.26", expression="36.03*36.005"), (2, False)),
        (ran("calculator", "1298.16", expression="36.03*36.03"), (3, False)),
        # the right option: 8, short +1, grounded +1, long -1
        (ran("python", "= 2", code="print(36.03/18.015)"), (9, True)),
        (ran("search", "= 2", query="36.03 g of H2O in moles"), (10, True)),
        (ran("search", "The amount of substance that was asked for = 2", query="36.03 g of H2O"), (9, True)),
        (ran("search", f"{LONG}= 2 mol", query="36.03 g of H2O"), (8, True)),
        (ran("python", f"{LONG}= 2 mol", code="print(36.03/18.015)"), (7, True)),
        # chain of thought
        (ran("think", None, ok=None, thought="36.03 / 18.015 = 2"), (7, True)),
        (ran("think", None, ok=None, thought="So it is 18.02 mol"), (2, False)),
        (ran("think", None, ok=None, thought="Let us see"), (3, False)),
        # the plan's next call points to a wrong option on its way
        (MASS, (7, True)),
        (ran("science", None, ok=None, op="molar_mass", formula="H2O"), (7, True)),
        (ran("science", "molar mass 58.44 g/mol", op="molar_mass", formula="NaCl"), (2, False)),
        (ran("science", None, ok=None, op="molar_mass", formula="NaCl"), (2, False)),
        # the plan's second call before its first
        (ran("calculator", None, ok=None, expression="36.03/18.015"), (2, False)),
    ],
)
def test_verifier_scores_by_its_table(candidate: Candidate, expected: tuple[float, bool]) -> None:
    assert judge(candidate) == expected


def test_numbers_from_earlier_observations_are_grounded() -> None:
    solved = ran("python", "2.0", code="print(36.03/18.015)")
    assert judge(solved) == (9, True)
    assert judge(solved, MASS) == (10, True)


def test_the_plan_moves_on_when_a_step_is_done_and_only_then() -> None:
    divide = ran("calculator", None, ok=None, expression="36.03/18.015")
    assert judge(divide, MASS) == (7, True)
    assert judge(divide, FAILED) == (3 - 1, False)
    assert judge(MASS, FAILED) == (7, True)
    assert judge(MASS, MASS) == (2, False)  # again, it only points to a wrong option


def test_a_planned_number_has_to_be_in_the_call_itself() -> None:
    """80/12 prints 20/3; that does not make it the planned 20/12."""
    plan = ((Call(action="calculator", arguments={"expression": "20/12"}),),)
    density = MOLES.model_copy(update={"text": "A 20 g sample fills 12 mL. Its density is", "plan": plan})
    assert judge(ran("calculator", "20/3 ≈ 6.6667", expression="80/12"), question=density) == (2, False)
    assert judge(ran("calculator", "5/3 ≈ 1.6667", expression="20/12"), question=density) == (7, True)


def test_a_misleading_step_spoils_the_rest_and_a_failed_one_does_not() -> None:
    solved = ran("python", "2", code="print(36.03/18.015)")
    assert judge(solved, FAILED)[1]
    assert judge(solved, MASS)[1]
    assert not judge(solved, WRONG)[1]
    assert not judge(solved, WRONG, FAILED)[1]
    assert not judge(solved, ran("think", None, ok=None, thought="It is 0.5 mol"))[1]


def test_verifier_is_an_oracle_and_says_so() -> None:
    assert Verifier.uses_gold
    with pytest.raises(JudgeError, match="stored answer") as caught:
        judge(MASS, question=MOLES.without_gold())
    assert caught.value.kind == "config"


def test_verifier_judges_all_candidates_in_their_order() -> None:
    verdict = Verifier().score(JudgeRequest(question=MOLES, steps=(), candidates=(WRONG, MASS, FAILED)))
    assert verdict.scores == (2, 7, 1)
    assert verdict.process_ok == (False, True, False)
    assert verdict.reason == "search: wrong; science: advance; python: failed"
    assert (verdict.judge, verdict.fingerprint) == ("verifier", Verifier().fingerprint())


def test_scripted_returns_the_configured_scores() -> None:
    config = Scripted.Config(scores={"search": 8.5}, process_ok={"search": False}, default_score=4)
    verdict = Scripted(config).score(JudgeRequest(question=MOLES, steps=(), candidates=(WRONG, MASS)))
    assert verdict.scores == (8.5, 4.0)
    assert verdict.process_ok == (False, True)
    assert Scripted(config).fingerprint() != Scripted().fingerprint()


@pytest.mark.parametrize("score", [-1, 10.5, float("nan")])
def test_scripted_refuses_impossible_scores(score: float) -> None:
    with pytest.raises(ValidationError):
        Scripted.Config(scores={"search": score})
