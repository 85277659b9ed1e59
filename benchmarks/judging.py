"""2,000 step verdicts by the gpt4o judge against a server on loopback with 50 ms latency: asked, then from the store.

    python benchmarks/judging.py [--steps 2000] [--concurrency 32] [--latency 0.05]

Prints seconds, the share of the latency-bound ideal (steps * latency / concurrency), how much faster a fully stored
pass is, and how much the process grew in the last three quarters of the asked pass, the verdicts included that it
hands back. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from spark_framework.api import Candidate, Judge, JudgeRequest, Question, Step, Verdict
from spark_framework.config.judging import JudgingSection
from spark_framework.host.manager import Host
from spark_framework.judging.runner import open_judging
from spark_framework.records import THINK

SERVER = Path(__file__).parents[1] / "tests" / "plugins" / "judges" / "server.py"
TOOLS = ("calculator", "python", "solver", "science", "stats_finance", "encyclopedia", "dictionary", "search", THINK)
TEXT = "A body of mass 3 kg slides from rest down a rough incline of 30 degrees and 4 m length; how fast is it then? "


def requests(count: int) -> list[JudgeRequest]:
    """Questions of five steps each; every candidate has arguments and an observation of 300 characters."""
    made: list[JudgeRequest] = []
    for at in range(count):
        question, number = divmod(at, 5)
        if number == 0:
            steps: tuple[Step, ...] = ()
        candidates = tuple(
            Candidate(
                action=name, arguments={"text": f"{TEXT[: 60 + k]} {at}"}, ok=True,
                token_ids=tuple(range(30)), observation=(f"{at} {k} " + TEXT * 3)[:300],
            )
            for k, name in enumerate(TOOLS)
        )  # fmt: skip
        made.append(
            JudgeRequest(
                question=Question(
                    id=f"q{question}", text=TEXT * 3, options=tuple(f"{k}.{question} m/s" for k in range(10)), answer=0,
                    category="physics", source="benchmark",
                ),
                steps=steps, candidates=candidates, seed=at,
            )
        )  # fmt: skip
        verdict = Verdict(scores=(7.0,) * 9, process_ok=(True,) * 9, judge="benchmark", fingerprint="")
        steps = (*steps, Step(candidates=candidates, verdict=verdict, chosen=at % 9))
    return made


def resident_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class MemoryMonitor:
    """Samples the process's memory in a thread of its own."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        self.seen.append(resident_mb())
        while not self._stop.wait(0.1):
            self.seen.append(resident_mb())

    def __enter__(self) -> MemoryMonitor:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def growth(self) -> float:
        return self.seen[-1] - self.seen[len(self.seen) // 4]


@dataclass(frozen=True)
class Pass:
    seconds: float
    cpu_seconds: float
    calls: int


def one_pass(path: Path, judge: Judge, steps: list[JudgeRequest], concurrency: int) -> Pass:
    with open_judging(Host().calls, path, JudgingSection(concurrency=concurrency), "benchmark", [judge]) as session:
        start, cpu = time.perf_counter(), time.process_time()
        outcomes = session.judge_all(judge, steps)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        assert all(isinstance(outcome, Verdict) for outcome in outcomes), outcomes[0]
        return Pass(seconds, cpu, session.client.attempts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    args = parser.parse_args()
    steps = requests(args.steps)
    command = [sys.executable, str(SERVER), "--port", "0", "--latency", str(args.latency)]
    with TemporaryDirectory() as folder, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            os.environ["BENCHMARK_KEY"] = "any"
            cls = Host().component_class("judge", "gpt4o").cls
            config = cls.Config(base_url=f"{url}/v1", api_key_env="BENCHMARK_KEY")  # type: ignore[call-arg]
            judge = cls(config)
            assert isinstance(judge, Judge)
            one_pass(Path(folder) / "warm.sqlite", judge, steps[: 2 * args.concurrency], args.concurrency)
            path = Path(folder) / "judge.sqlite"
            with MemoryMonitor() as watch:
                asked = one_pass(path, judge, steps, args.concurrency)
            stored = one_pass(path, judge, steps, args.concurrency)
            judge.close()
        finally:
            server.terminate()
    ideal = args.steps * args.latency / args.concurrency
    print(f"{args.steps} steps, concurrency {args.concurrency}, latency {1000 * args.latency:g} ms")
    print(f"latency-bound ideal: {ideal:.3f} s")
    for name, one in (("asked", asked), ("stored", stored)):
        each = 1e6 * one.cpu_seconds / args.steps
        print(f"{name:6}: {one.seconds:.3f} s, {one.calls} calls, {each:.0f} microseconds of CPU a verdict")
    figures = {
        "fraction_of_ideal": ideal / asked.seconds, "cached_x": asked.seconds / stored.seconds,
        "memory_growth_mb": watch.growth,
    }  # fmt: skip
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
