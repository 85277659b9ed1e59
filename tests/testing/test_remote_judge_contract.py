"""RemoteJudgeContract: a good judge passes; every bad one is found by the check for it. Nothing is sent."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Sequence
from typing import Any

import pytest

from spark_framework.api import ApiReply, ApiRequest, JudgeError, JudgeRequest, RemoteJudge, Verdict
from spark_framework.testing import JudgeContract, RemoteJudgeContract
from tests.testing.failing import Faults, assert_found, checks_of

FAULTS = Faults()
COUNT = itertools.count()


def order(request: JudgeRequest) -> list[int]:
    """Which candidate stands in which place of the request."""
    places = list(range(len(request.candidates)))
    random.Random(request.seed).shuffle(places)
    return places


class Asks(RemoteJudge):
    """Asks somebody who sees the candidates shuffled, and replies with `{"scores": […], "process_ok": […]}`."""

    name = "asks"

    def request(self, request: JudgeRequest) -> ApiRequest:
        return ApiRequest(endpoint="https://judge.example/v1", body=self.body(request))

    def body(self, request: JudgeRequest) -> dict[str, Any]:
        bare = request.without_gold()
        candidates = [request.candidates[k].model_dump(mode="python") for k in order(request)]
        seen = {"question": bare.question.model_dump(), "steps": [one.model_dump() for one in bare.steps]}
        return json.loads(json.dumps({**seen, "candidates": candidates}).replace("\\ud", "?"))

    def send(self, api_request: ApiRequest) -> ApiReply:
        raise AssertionError("nothing is sent")

    def read(self, request: JudgeRequest, reply: ApiReply) -> Verdict:
        said = self.parsed(reply)
        if said is None or set(said) != {"scores", "process_ok"}:
            raise JudgeError("the reply is no verdict", "invalid")
        scores, flags = said["scores"], said["process_ok"]
        for values in (scores, flags):
            if not isinstance(values, list) or len(values) != len(request.candidates):
                raise JudgeError("not one each", "invalid")
        if not all(type(s) in (int, float) and 0 <= s <= 10 for s in scores) or any(type(f) is not bool for f in flags):
            raise JudgeError("not a number from 0 to 10, and a truth value", "invalid")
        return self.verdict(request, scores, flags)

    def parsed(self, reply: ApiReply) -> Any:
        try:
            said = json.loads(reply.body["text"])
        except (KeyError, ValueError, RecursionError):
            return None
        return said if isinstance(said, dict) else None

    def verdict(self, request: JudgeRequest, scores: list[float], flags: list[bool]) -> Verdict:
        places = order(request)
        return Verdict(
            scores=tuple(float(scores[places.index(k)]) for k in range(len(places))),
            process_ok=tuple(flags[places.index(k)] for k in range(len(places))),
            judge=self.name, fingerprint=self.fingerprint(),
        )  # fmt: skip


class AsksContract(RemoteJudgeContract):
    def good_reply(self, judge: RemoteJudge, request: JudgeRequest, scores: Sequence[int]) -> ApiReply:
        said = {"scores": [scores[k] for k in order(request)], "process_ok": [True] * len(scores)}
        return ApiReply(body={"text": json.dumps(said)})


# -- request -------------------------------------------------------------------------------------------------------


@FAULTS.found_by("a_request_is_a_function_of_the_step", says="a new instance asks differently")
class NamesItself(Asks):
    """Every instance sends a name of its own."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.number = next(COUNT)

    def body(self, request: JudgeRequest) -> dict[str, Any]:
        return {**super().body(request), "user": self.number}


@FAULTS.found_by("other_steps_are_other_requests", says="another step (an argument differs) makes the same request")
class LeavesOutArguments(Asks):
    """Shows actions and observations alone."""

    def body(self, request: JudgeRequest) -> dict[str, Any]:
        bare = tuple(c.model_copy(update={"arguments": {}, "thought": "", "text": ""}) for c in request.candidates)
        return super().body(request.model_copy(update={"candidates": bare}))


@FAULTS.found_by("other_steps_are_other_requests", says="(the seed differs)")
class NeverShuffles(Asks):
    """Always shows the candidates in one order."""

    def body(self, request: JudgeRequest) -> dict[str, Any]:
        return super().body(request.model_copy(update={"seed": 0}))


@FAULTS.found_by("a_request_holds_nothing_of_the_stored_answer", says="the question's plan or an earlier verdict")
class Tells(Asks):
    """Sends the plan."""

    def body(self, request: JudgeRequest) -> dict[str, Any]:
        return {
            **super().body(request),
            "plan": [call.model_dump() for calls in request.question.plan for call in calls],
        }


@FAULTS.found_by("a_request_holds_nothing_of_the_stored_answer", says="depends on the stored answer")
class Hints(Asks):
    """Sends whether there is an answer."""

    def body(self, request: JudgeRequest) -> dict[str, Any]:
        return {**super().body(request), "answered": request.question.answer is not None}


@FAULTS.found_by("odd_requests_can_be_stored", says="half a surrogate pair: request() gives what cannot be sent")
class SendsHalves(Asks):
    """Sends what it got, unread."""

    def body(self, request: JudgeRequest) -> dict[str, Any]:
        return {**super().body(request), "thoughts": [candidate.thought for candidate in request.candidates]}


# -- reply ---------------------------------------------------------------------------------------------------------


@FAULTS.found_by("scores_belong_to_candidates_and_not_to_places", says="give the candidates their own scores")
class ForgetsTheOrder(Asks):
    """Gives scores to places."""

    def verdict(self, request: JudgeRequest, scores: list[float], flags: list[bool]) -> Verdict:
        return super().verdict(request, scores, flags).model_copy(update={"scores": tuple(map(float, scores))})


@FAULTS.found_by("reading_is_pure", says="read() changes the reply")
class Consumes(Asks):
    """Marks the reply as read."""

    def read(self, request: JudgeRequest, reply: ApiReply) -> Verdict:
        verdict = super().read(request, reply)
        reply.body.setdefault("read", True)
        return verdict


@FAULTS.found_by("garbled_replies_are_never_a_verdict", says="is read as the scores")
class Invents(Asks):
    """5 for everybody where the reply is no JSON."""

    def parsed(self, reply: ApiReply) -> Any:
        said = super().parsed(reply)
        if said is None and "text" in reply.body:
            return {"scores": [5.0] * 9, "process_ok": [True] * 9}
        return said


@FAULTS.found_by("garbled_replies_are_never_a_verdict", says="NaN in the place of")
class Clamps(Asks):
    """Puts what is out of range at its end."""

    def parsed(self, reply: ApiReply) -> Any:
        said = super().parsed(reply)
        if isinstance(said, dict) and isinstance(said.get("scores"), list):
            said["scores"] = [min(10.0, max(0.0, s)) if isinstance(s, float | int) else s for s in said["scores"]]
        return said


@FAULTS.found_by("garbled_replies_are_never_a_verdict", says="is read as the scores")
class Searches(Asks):
    """Takes the numbers out of whatever was said."""

    def parsed(self, reply: ApiReply) -> Any:
        numbers = re.findall(r"\d+", str(reply.body.get("text")))
        return {"scores": [float(n) for n in numbers], "process_ok": [True] * len(numbers)}


@FAULTS.found_by("garbled_replies_are_never_a_verdict", "a_repair_is_another_request", says="read() raised KeyError")
class Trusts(Asks):
    """Takes it that there is a text."""

    def parsed(self, reply: ApiReply) -> Any:
        return super().parsed(ApiReply(body={"text": reply.body["text"]}))


@FAULTS.found_by("garbled_replies_are_never_a_verdict", says="the JudgeError has the kind 'transient'")
class AsksForEver(Asks):
    """Wants to ask again whatever was said."""

    def read(self, request: JudgeRequest, reply: ApiReply) -> Verdict:
        try:
            return super().read(request, reply)
        except JudgeError as exc:
            raise JudgeError(str(exc), "transient") from exc


@FAULTS.found_by("a_reply_to_another_step_is_no_verdict", says="count them")
class FillsUp(Asks):
    """Repeats the last of eight scores."""

    def parsed(self, reply: ApiReply) -> Any:
        said = super().parsed(reply)
        if said and all(isinstance(values, list) and len(values) == 8 for values in said.values()):
            return {name: [*values, values[-1]] for name, values in said.items()}
        return said


@FAULTS.found_by("a_repair_is_another_request", says="repaired() asks the same again")
class Repeats(Asks):
    """Asks the same again."""

    def repaired(self, api_request: ApiRequest, reply: ApiReply, fault: JudgeError) -> ApiRequest | None:
        return api_request


class TestAsks(AsksContract):
    has_entry_point = False

    @pytest.fixture
    def judge(self) -> RemoteJudge:
        return Asks()


@FAULTS.each()
def test_a_bad_judge_is_found(fault):
    assert_found(fault, AsksContract)


def test_every_check_of_remote_judges_has_found_a_fault():
    own = set(checks_of(RemoteJudgeContract)) - set(checks_of(JudgeContract))
    assert FAULTS.checks() == own | {"scores_belong_to_candidates_and_not_to_places"}


def test_a_judge_without_a_wire_inherits_the_other_contract():
    from spark_plugin_judges.verifier import Verifier

    with pytest.raises(AssertionError, match="inherit JudgeContract"):
        AsksContract().test_every_candidate_gets_its_score(Verifier())
