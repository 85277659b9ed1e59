"""Print the first trajectories of a run, step by step: python read_trajectories.py RUN [HOW_MANY]"""

import json
import sys
from itertools import islice
from pathlib import Path


def main(run: str, how_many: int = 1) -> None:
    with (Path(run) / "trajectories.jsonl").open(encoding="utf-8") as lines:
        for line in islice(lines, how_many):
            show(json.loads(line))


def show(trajectory: dict) -> None:
    question = trajectory["question"]
    print(f"{trajectory['id']}: {question['text']}")
    for number, step in enumerate(trajectory["steps"]):
        chosen = step["candidates"][step["chosen"]]
        print(f"  step {number}: {chosen['action']} {chosen['arguments']} -> {chosen['observation']}")
        if step["verdict"] is not None:  # no judge scores the closing answer
            scored = zip(step["candidates"], step["verdict"]["scores"], strict=True)
            print("    scores:", ", ".join(f"{c['action']} {score:g}" for c, score in scored))
    print(f"  correct: {trajectory['correct']}; the answer is {question['options'][question['answer']]!r}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
