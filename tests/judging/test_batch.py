"""Waves through a batch service: a service in a folder, which outlives a killed client as a provider does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from spark_framework.api import ApiReply, ApiRequest, JudgeError, Usage, Verdict
from spark_framework.errors import RunError
from tests.judging.asking import Asking, Server, session, steps


class FolderBatches:
    """Batches as files. Results come in reverse order; `failing` ids fail, `bad` ids have an unusable reply."""

    max_requests = 4

    def __init__(self, folder: Path) -> None:
        self.folder, self.looks = folder, 0
        self.failing: set[str] = set()
        self.bad: set[str] = set()
        self.killed_after_submit = self.killed_in_results = self.broken = False
        folder.mkdir(exist_ok=True)

    def find(self, name: str) -> str | None:
        return name if (self.folder / name).exists() else None

    def submit(self, name: str, requests: Mapping[str, ApiRequest]) -> str:
        (self.folder / name).write_text(json.dumps({key: api_request.body for key, api_request in requests.items()}))
        if self.killed_after_submit:
            raise KeyboardInterrupt
        return name

    def is_done(self, batch: str) -> bool:
        if self.broken:
            raise JudgeError("the file was refused", "config")
        self.looks += 1
        if self.looks % 2:
            raise JudgeError("busy", "transient", retry_after=0.0)
        return self.looks > 3

    def results(self, batch: str) -> Iterator[tuple[str, ApiReply | JudgeError]]:
        asked: dict[str, Any] = json.loads((self.folder / batch).read_text())
        for at, (key, body) in enumerate(reversed(asked.items())):
            if self.killed_in_results and at == 2:
                raise KeyboardInterrupt
            if body["id"] in self.failing:
                yield key, JudgeError("expired", "transient")
            else:
                score = 6.5 if body["id"] in self.bad else 8
                yield key, ApiReply(body={"score": score}, usage=Usage(input_tokens=1000), model="m")


class Batching(Asking):
    service: FolderBatches

    def batches(self) -> FolderBatches:
        return self.service


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def judge(server: Server, tmp_path: Path) -> Batching:
    judge = Batching(Batching.Config(url=server.url))
    judge.service = FolderBatches(tmp_path / "batches")
    return judge


def judged(judge: Batching, tmp_path: Path, count: int, **terms: Any) -> tuple[list[Any], float]:
    with session(tmp_path / "judge.sqlite", judge, batch=True, batch_poll=0.001, **terms) as opened:
        verdicts = opened.judge_all(judge, steps(count))
        return [v.scores[0] if isinstance(v, Verdict) else v for v in verdicts], opened.client.store.spent("run")


def test_a_wave_goes_through_batches_at_half_the_price(server: Server, judge: Batching, tmp_path: Path) -> None:
    assert judged(judge, tmp_path, 6) == ([8] * 6, 3.0)
    assert len(list(judge.service.folder.iterdir())) == 2  # at most four requests each
    assert not server.asked
    assert judged(judge, tmp_path, 6) == ([8] * 6, 3.0)
    assert len(list(judge.service.folder.iterdir())) == 2


def test_what_failed_in_the_batch_is_asked_live(server: Server, judge: Batching, tmp_path: Path) -> None:
    judge.service.failing, judge.service.bad = {"q1"}, {"q2"}
    assert judged(judge, tmp_path, 4) == ([8, 7, 7, 8], 0.5 + 0.5 + 0.5 + 2.0)
    assert server.asked == {"q1": 1, "q2": 1}


@pytest.mark.parametrize("moment", ["killed_after_submit", "killed_in_results"])
def test_a_killed_client_finds_its_batch_again(server: Server, judge: Batching, tmp_path: Path, moment: str) -> None:
    setattr(judge.service, moment, True)
    with pytest.raises(KeyboardInterrupt):
        judged(judge, tmp_path, 4)
    setattr(judge.service, moment, False)
    assert judged(judge, tmp_path, 4) == ([8] * 4, 2.0)
    assert len(list(judge.service.folder.iterdir())) == 1
    assert not server.asked


def test_a_batch_has_to_fit_into_the_budget(judge: Batching, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"budget of \$1 is used up"):
        judged(judge, tmp_path, 4, budget=1.0)
    assert not list(judge.service.folder.iterdir())
    assert judged(judge, tmp_path, 4, budget=2.0) == ([8] * 4, 2.0)


def test_a_failed_batch_ends_the_command(judge: Batching, tmp_path: Path) -> None:
    judge.service.broken = True
    with pytest.raises(RunError, match="the file was refused; run the same command again"):
        judged(judge, tmp_path, 4)
    judge.service.broken = False
    assert judged(judge, tmp_path, 4) == ([8] * 4, 2.0)
    assert len(list(judge.service.folder.iterdir())) == 2
