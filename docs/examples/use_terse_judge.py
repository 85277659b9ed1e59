"""Roll out with a judge and a tool that no entry point names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spark_framework import RunConfig, generate

from primes import Primes
from terse_judge import Terse


def main(run: str = "runs/terse", policy: Mapping[str, Any] | None = None) -> Path:
    config = RunConfig(
        run=run,
        policy=policy or {"prompt": "short"},
        tools=["calculator", "encyclopedia", Primes],
        judge=Terse(Terse.Config(short=40)),
        rollouts=[{"name": "demonstrations", "proposer": "scripted", "questions": 20}],
    )
    return generate(config)


if __name__ == "__main__":
    print(main())
