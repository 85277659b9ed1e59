"""What `generate` costs: told before, in batches at half the price, and never above the budget."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spark_framework import TrajectoryStore
from tests.plugins.judges.server import JudgeServer
from tests.runs import config_file, settings

Command = Callable[..., tuple[int, str, str]]
QUESTIONS = 4
PRICE = {"price": {"input": 2.5, "output": 10.0}}
CALL = (2000 * 2.5 + 90 * 10.0) / 1e6
"""Dollars for what the server says a call took."""


@pytest.fixture
def written(tiny: Path, tmp_path: Path) -> Callable[..., Path]:
    """`written(judge, run)`: a config whose round takes four questions with one step each."""

    def write(judge: dict[str, Any], run: str = "run", **changes: Any) -> Path:
        rounds = [{"name": "demonstrations", "proposer": "scripted", "questions": QUESTIONS, "wave_size": 2}]
        folder = tmp_path / f"config-{run}"
        folder.mkdir()
        return config_file(folder, settings(tiny, tmp_path / run, judge=judge, rollouts=rounds, stages={}, **changes))

    return write


def served(judge: str, server: JudgeServer, **changes: Any) -> dict[str, Any]:
    return {"use": judge, "base_url": server.url + ("/v1" if judge == "gpt4o" else ""), **changes}


@pytest.mark.parametrize(("judge", "model"), [("gpt4o", "gpt-4o-2024-11-20"), ("claude", "claude-sonnet-5-5")])
def test_an_estimate_has_calls_tokens_and_the_list_price_and_makes_no_folder(
    judge: str, model: str, written: Callable[..., Path], tmp_path: Path, command: Command
) -> None:
    from genai_prices import Usage, calc_price

    code, out, _ = command("generate", written({"use": judge}), "--estimate")
    assert code == 0
    found = re.match(
        r"judge (\w+) \((.+)\): (\d+) calls, ([\d,]+) tokens in, ([\d,]+) out, \$(\S+) \(in batches \$(\S+)\)", out
    )
    assert found is not None
    name, of, calls, tokens_in, tokens_out, live, batched = found.groups()
    assert (name, of, int(calls)) == (judge, model, QUESTIONS * 2)  # two steps at most
    usage = Usage(input_tokens=int(tokens_in.replace(",", "")), output_tokens=int(tokens_out.replace(",", "")))
    price = float(calc_price(usage, model, provider_id={"gpt4o": "openai", "claude": "anthropic"}[judge]).total_price)
    assert float(live) == pytest.approx(price, abs=0.006)
    assert float(batched) == pytest.approx(price / 2, abs=0.006)
    assert "every call succeeds at once" in out
    assert not (tmp_path / "run").exists()


def test_an_estimate_is_an_upper_bound_of_what_is_asked(
    written: Callable[..., Path], server: JudgeServer, command: Command
) -> None:
    config = written(served("gpt4o", server))
    _, out, _ = command("generate", config, "--estimate")
    assert server.asked.total() == 0
    assert command("generate", config)[0] == 0
    assert 0 < server.asked.total() <= int(out.split(": ")[1].split()[0])
    assert "0 calls" in command("generate", config, "--estimate")[1]  # nothing is left


@pytest.mark.parametrize("judge", ["gpt4o", "claude"])
def test_batches_give_the_trajectories_of_single_requests(
    judge: str, written: Callable[..., Path], server: JudgeServer, tmp_path: Path, command: Command
) -> None:
    live = written(served(judge, server), "live", judging={"batch_poll": 0.01})
    batched = written(served(judge, server), "batched", judging={"batch_poll": 0.01})
    assert command("generate", live)[0] == 0
    single = server.asked.total()
    assert command("generate", batched, "--batch")[0] == 0
    assert server.asked.total() == single
    assert server.stats()["batches"] == 1  # one for each step of all questions
    chosen = [
        [(t.id, [(s.verdict.scores if s.verdict else None, s.chosen) for s in t.steps]) for t in TrajectoryStore(
            tmp_path / run / "trajectories.jsonl").read()]
        for run in ("live", "batched")
    ]  # fmt: skip
    assert chosen[0] == chosen[1]


def test_the_budget_ends_the_command_before_it_is_exceeded_and_a_higher_one_goes_on(
    written: Callable[..., Path], server: JudgeServer, tmp_path: Path, command: Command
) -> None:
    judging = {"concurrency": 1, "budget": 3.5 * CALL}
    config = written(served("gpt4o", server, max_tokens=90, **PRICE), judging=judging)
    code, out, err = command("generate", config)
    assert (code, out) == (2, "")
    assert re.search(r"the budget of \$\S+ is used up: \$\S+ are spent, and the next call may cost \$\S+; raise", err)
    asked = server.asked.total()
    assert 0 < asked * CALL <= judging["budget"]
    assert asked < QUESTIONS
    code, _, err = command("generate", config, "--set", "judging.budget=1")
    assert (code, err) == (0, "")
    assert server.asked.total() == QUESTIONS  # nothing was paid twice
