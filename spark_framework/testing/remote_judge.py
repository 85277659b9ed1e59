"""The contract of judges that send requests. Nothing is sent: the author's test builds a good reply."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from ..contracts.components import Judge, JudgeRequest
from ..contracts.remote_judge import ApiReply, ApiRequest, RemoteJudge
from ..errors import JudgeError
from ..records import Verdict
from .checks import require, short
from .garbled import spoilt
from .judge import JudgeContract
from .samples import GOLD, odd_requests


class RemoteJudgeContract(JudgeContract):
    """Inherit it, give the fixture `judge`, and write what its server would reply:

    class TestMine(RemoteJudgeContract):
        @pytest.fixture
        def judge(self):
            return Mine()

        def good_reply(self, judge, step, scores):
            text = json.dumps({"scores": scores, "process_ok": [True] * len(scores)})
            return ApiReply(body={"choices": [{"message": {"content": text}}]})
    """

    shuffles: ClassVar[bool] = True
    """Whether the order in which the judge sees the candidates depends on `request.seed`."""

    @abstractmethod
    def good_reply(self, judge: RemoteJudge, request: JudgeRequest, scores: Sequence[int]) -> ApiReply:
        """**REQUIRED.** A reply that gives candidate k of `step.candidates` the score `scores[k]` and process_ok."""

    def garbled(self, judge: RemoteJudge, request: JudgeRequest) -> Iterator[tuple[str, ApiReply]]:
        """Replies that hold no verdict, each with what is wrong with it: variations of the good one.

        Override it if scores are neither in JSON inside a text nor numbers in the body.
        """
        good = self.good_reply(judge, request, _scores(request))
        for what, body in spoilt(good.body, len(request.candidates)):
            yield what, good.model_copy(update={"body": body})

    # -- request -------------------------------------------------------------------------------------------------------

    def test_a_request_is_a_function_of_the_step(self, judge: RemoteJudge) -> None:
        step = self._step(judge)
        first = judge.request(step)
        require(judge.request(step) == first, "request() gives another request for the same step: keep no state")
        with self._fresh(judge) as other:
            require(other.request(step).key == first.key, "a new instance asks differently: stored replies are lost")
        try:
            again = ApiRequest.model_validate_json(first.model_dump_json())
        except ValueError as exc:
            raise AssertionError(f"the request cannot be written as JSON ({exc}): use plain values in `body`") from exc
        require(again.key == first.key, "the request's key changes when it is stored and read: use JSON's own types")

    def test_other_steps_are_other_requests(self, judge: RemoteJudge) -> None:
        step = self._step(judge)
        first = step.candidates[0]
        others: dict[str, dict[str, Any]] = {
            "an argument": {"candidates": (first.model_copy(update={"arguments": {"x": 1}}), *step.candidates[1:])},
            "an observation": {"candidates": (first.model_copy(update={"observation": "no"}), *step.candidates[1:])},
            "the number of candidates": {"candidates": step.candidates[:-1]},
            "the question": {"question": step.question.model_copy(update={"text": "Which one?"})},
            "the earlier steps": {"steps": ()},
        }
        if self.shuffles:
            others["the seed"] = {"seed": step.seed + 1}
        for what, changes in others.items():
            require(
                judge.request(step.model_copy(update=changes)).key != judge.request(step).key,
                f"another step ({what} differs) makes the same request, and would get the same stored reply: put it "
                "into the body" + (", or set shuffles = False" if what == "the seed" else ""),
            )

    def test_a_request_holds_nothing_of_the_stored_answer(self, judge: RemoteJudge) -> None:
        if judge.uses_gold:
            return
        api_request = judge.request(self.sample())
        require(GOLD not in json.dumps(api_request.body), "the request holds the question's plan or an earlier verdict")
        require(
            api_request.key == judge.request(self.sample().without_gold()).key,
            "the request depends on the stored answer, which a run withholds: do not read it",
        )

    def test_odd_requests_can_be_stored(self, judge: RemoteJudge) -> None:
        for what, step in odd_requests(self._step(judge)):
            try:
                api_request = judge.request(step)
                api_request.key.encode()
                api_request.model_dump_json()
            except JudgeError:
                continue
            except Exception as exc:
                raise AssertionError(
                    f"{what}: request() gives what cannot be sent ({type(exc).__name__}: {short(exc)}): escape it, "
                    "replace halves of surrogate pairs, keep numbers finite"
                ) from exc

    # -- reply ---------------------------------------------------------------------------------------------------------

    def test_scores_belong_to_candidates_and_not_to_places(self, judge: RemoteJudge) -> None:  # type: ignore[override]
        for seed in range(4):
            step = self._step(judge).model_copy(update={"seed": seed})
            for given in (_scores(step), _scores(step)[::-1]):
                found = self._read(judge, step, self.good_reply(judge, step, given)).scores
                order = sorted(range(len(given)), key=given.__getitem__)
                require(
                    [found[k] for k in order] == sorted(set(found)),
                    f"a reply with the scores {given} is read as {short(found)}: give the candidates their own scores, "
                    "in the order of the request, also where the judge saw them shuffled",
                )

    def test_reading_is_pure(self, judge: RemoteJudge) -> None:
        step = self._step(judge)
        reply = self.good_reply(judge, step, _scores(step))
        before = reply.model_copy(deep=True)
        first = self._read(judge, step, reply)
        require(self._read(judge, step, reply) == first, "read() gives another verdict for the same reply")
        require(reply == before, "read() changes the reply")
        stored = ApiReply.model_validate_json(reply.model_dump_json())
        require(self._read(judge, step, stored) == first, "read() gives another verdict for a reply that was stored")

    def test_garbled_replies_are_never_a_verdict(self, judge: RemoteJudge) -> None:
        step = self._step(judge)
        count = 0
        for count, (what, reply) in enumerate(self.garbled(judge, step), start=1):  # noqa: B007
            try:
                verdict = self._read(judge, step, reply)
            except JudgeError as exc:
                require(
                    exc.kind in ("invalid", "refusal"),
                    f"{what}: the JudgeError has the kind {exc.kind!r}; a reply that cannot be used is 'invalid'",
                )
            else:
                raise AssertionError(
                    f"{what} is read as the scores {short(verdict.scores)}: raise JudgeError(…, 'invalid') for all "
                    "but one finite number from 0 to 10 and one truth value for each candidate"
                )
        require(count >= 10, "no scores were found in the good reply, so none could be spoilt: override `garbled`")

    def test_a_reply_to_another_step_is_no_verdict(self, judge: RemoteJudge) -> None:
        step = self._step(judge)
        fewer = step.model_copy(update={"candidates": step.candidates[:-1]})
        for judged, replied in ((step, fewer), (fewer, step)):
            try:
                self._read(judge, judged, self.good_reply(judge, replied, _scores(replied)))
            except JudgeError:
                continue
            raise AssertionError(
                f"a reply on {len(replied.candidates)} candidates is read as a verdict on {len(judged.candidates)}: "
                "count them"
            )

    def test_a_repair_is_another_request(self, judge: RemoteJudge) -> None:
        step = self._step(judge)
        api_request = judge.request(step)
        for what, reply in self.garbled(judge, step):
            try:
                self._read(judge, step, reply)
            except JudgeError as fault:
                second = judge.repaired(api_request, reply, fault)
                require(
                    second is None or second.key != api_request.key,
                    f"{what}: repaired() asks the same again, and would get the same stored reply: change the body, or "
                    "return None",
                )

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _judged(self, judge: Judge, request: JudgeRequest) -> Verdict:
        assert isinstance(judge, RemoteJudge), "the fixture `judge` gives no RemoteJudge: inherit JudgeContract"
        judge.request(request)
        return judge.read(request, self.good_reply(judge, request, _scores(request)))

    def _read(self, judge: RemoteJudge, request: JudgeRequest, reply: ApiReply) -> Verdict:
        try:
            return judge.read(request, reply)
        except JudgeError:
            raise
        except Exception as exc:
            raise AssertionError(
                f"read() raised {type(exc).__name__}: {short(exc)} for the reply {short(reply.body, 200)}; raise "
                "JudgeError(…, 'invalid')"
            ) from exc


def _scores(request: JudgeRequest) -> list[int]:
    """Different integers, the first candidate's the highest: ten candidates at most can have them."""
    return [9 - k for k in range(len(request.candidates))]
