"""Count how often the selector chose each action, and how often it could have: python count_tools.py RUN"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path


def main(run: str) -> None:
    threshold = json.loads((Path(run) / "run.json").read_text(encoding="utf-8"))["config"]["threshold"]
    chosen, viable = defaultdict(Counter), defaultdict(Counter)
    with (Path(run) / "trajectories.jsonl").open(encoding="utf-8") as lines:
        for trajectory in map(json.loads, lines):
            if trajectory["branch"] > 0:  # not the selector's choice
                continue
            for step in trajectory["steps"][:-1]:  # without the closing answer
                chosen[trajectory["round"]][step["candidates"][step["chosen"]]["action"]] += 1
                for candidate, score in zip(step["candidates"], step["verdict"]["scores"], strict=True):
                    viable[trajectory["round"]][candidate["action"]] += score > threshold
    for name, counts in chosen.items():
        print(name)
        for action, count in viable[name].most_common():
            print(f"  {action:15} viable {count:5}   chosen {counts[action]:5}")


if __name__ == "__main__":
    main(sys.argv[1])
