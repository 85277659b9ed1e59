"""A process that asks for the first raw value of a run's calibration while another one waits for it.

python -m tests.studies.lease_holder RUN STORE: prints `held`, then stores the reply and gives the lease back
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path

from spark_framework.judging.cache import JudgeStore
from spark_framework.runs.decisions import judged_decisions
from spark_framework.runs.run_dir import existing_run
from tests.studies.test_calibrate import Sharp


def hold(run: str, path: str) -> None:
    folder, judge = existing_run(Path(run)), Sharp()
    first = judged_decisions(folder)[0]
    wire = judge.request(first.request(folder.config.seed))
    with closing(JudgeStore(Path(path))) as store:
        assert store.lease(wire.key)
        print("held", flush=True)
        time.sleep(1.0)
        row = ("other", judge.name, wire.key, "live", "ok", None, None, None, 0.0, 0.0)
        store.keep(judge.name, wire, judge.send(wire), row)
        store.release(wire.key)


if __name__ == "__main__":
    hold(*sys.argv[1:])
