"""The contract of judges."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from ..contracts.components import Judge, JudgeRequest
from ..errors import JudgeError, UserError
from ..records import Verdict
from .checks import require, short, within
from .component import ComponentContract
from .samples import GOLD, odd_requests, sample_request


class JudgeContract(ComponentContract):
    """Inherit it and give the fixture `judge`:

    class TestTerse(JudgeContract):
        @pytest.fixture
        def judge(self):
            return Terse()

    For a `RemoteJudge` there is `RemoteJudgeContract`.
    """

    kind = "judge"
    subject = "judge"
    order_matters: ClassVar[bool] = False
    """True where a candidate's score may depend on its place among the others."""

    def sample(self) -> JudgeRequest:
        """A step that the judge can judge: nine executed candidates. Override it where that needs another question."""
        return sample_request()

    # -- a verdict -----------------------------------------------------------------------------------------------------

    def test_every_candidate_gets_its_score(self, judge: Judge) -> None:
        full = self._step(judge)
        for n in (1, 2, len(full.candidates)):
            step = full.model_copy(update={"candidates": full.candidates[:n]})
            self._check(judge, step, self._verdict(judge, step), f"{n} candidates")

    def test_a_verdict_names_its_judge(self, judge: Judge) -> None:
        verdict = self._verdict(judge, self._step(judge))
        require(verdict.judge == judge.name, f"the verdict's judge is {verdict.judge!r}: set judge=self.name")
        require(
            verdict.fingerprint == judge.fingerprint(),
            "the verdict's fingerprint is not the judge's: set fingerprint=self.fingerprint()",
        )

    def test_a_verdict_is_the_same_every_time(self, judge: Judge) -> None:
        step = self._step(judge)
        first = self._verdict(judge, step)
        require(self._verdict(judge, step) == first, "the same step is judged differently: draw from `request.seed`")
        with self._fresh(judge) as other:
            require(
                self._verdict(other, step) == first,
                "a new instance judges differently: let the verdict depend on request and settings alone",
            )

    def test_scores_belong_to_candidates_and_not_to_places(self, judge: Judge) -> None:
        step = self._step(judge)
        turned = step.model_copy(update={"candidates": step.candidates[::-1]})
        scores, others = self._verdict(judge, step).scores, self._verdict(judge, turned).scores
        require(
            self.order_matters or scores == others[::-1],
            f"in reverse order the candidates score {short(others[::-1])} instead of {short(scores)}: return scores in "
            "the candidates' order, or set order_matters = True",
        )

    def test_eight_threads_get_the_verdict_of_one(self, judge: Judge) -> None:
        step = self._step(judge)
        alone = self._verdict(judge, step)
        with ThreadPoolExecutor(8) as threads:
            together = list(threads.map(lambda _: self._verdict(judge, step), range(24)))
        require(all(one == alone for one in together), "eight threads get other verdicts: add a lock")

    # -- what it may know ----------------------------------------------------------------------------------------------

    def test_the_stored_answer_changes_nothing(self, judge: Judge) -> None:
        if judge.uses_gold:
            return
        step = self.sample()
        require(
            self._verdict(judge, step) == self._verdict(judge, step.without_gold()),
            "the verdict depends on the stored answer, its plan or earlier verdicts, which a run withholds: do not "
            "read them, or declare uses_gold = True",
        )

    def test_an_oracle_without_the_answer_says_so(self, judge: Judge) -> None:
        if not judge.uses_gold:
            return
        step = self.sample().without_gold()
        try:
            verdict = self._verdict(judge, step)
        except JudgeError as exc:
            require(
                exc.kind == "config",
                f"without a stored answer it raises a JudgeError of kind {exc.kind!r}: use 'config', since only "
                "another judge or other questions help",
            )
        else:
            self._check(judge, step, verdict, "a question without its answer")

    # -- odd input -----------------------------------------------------------------------------------------------------

    def test_odd_steps_get_a_verdict_or_a_judge_error(self, judge: Judge) -> None:
        for what, step in odd_requests(self._step(judge)):
            try:
                verdict = self._verdict(judge, step)
            except JudgeError as exc:
                require(str(exc).strip(), f"{what}: the JudgeError has no text; say what is missing")
            else:
                self._check(judge, step, verdict, what)

    def test_judging_changes_no_request(self, judge: Judge) -> None:
        step = self._step(judge)
        before = step.model_copy(deep=True)
        self._verdict(judge, step)
        require(step == before, "score() changes its request: copy lists and mappings before you change them")

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _step(self, judge: Judge) -> JudgeRequest:
        return self.sample() if judge.uses_gold else self.sample().without_gold()

    def _verdict(self, judge: Judge, request: JudgeRequest) -> Verdict:
        try:
            verdict = within(self.time_limit, "a verdict", lambda: self._judged(judge, request))
        except (JudgeError, UserError, AssertionError, KeyboardInterrupt):
            raise
        except BaseException as exc:
            raise AssertionError(
                f"{judge.name} raised {type(exc).__name__}: {short(exc)}; where there is no complete verdict, raise "
                "JudgeError, and never a number"
            ) from exc
        require(isinstance(verdict, Verdict), f"{judge.name} returned {type(verdict).__name__}: return a Verdict")
        return verdict

    def _judged(self, judge: Judge, request: JudgeRequest) -> Verdict:
        return judge.score(request)

    def _check(self, judge: Judge, request: JudgeRequest, verdict: Verdict, what: str) -> None:
        n = len(request.candidates)
        require(
            len(verdict.scores) == n,
            f"{what}: {len(verdict.scores)} scores for {n} candidates; give one each, in their order",
        )
        try:
            written = Verdict.model_validate(verdict.model_dump()).model_dump_json()
        except ValueError as exc:
            raise AssertionError(f"{what}: the verdict cannot be stored ({exc}); fix its scores or reason") from exc
        require(GOLD not in written or judge.uses_gold, f"{what}: the verdict repeats what only an oracle may read")
