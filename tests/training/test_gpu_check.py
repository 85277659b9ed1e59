"""`make gpu-check`: its code runs here on a toy shape, and without a GPU it says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_check.py"


def run(*arguments: str) -> str:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_cuda_it_says_so_and_ends() -> None:
    assert run() == "gpu-check: there is no CUDA device here; nothing was checked\n"


def test_the_toy_shape_runs_all_three_ways() -> None:
    figures = json.loads(run("--tiny", "--trajectories", "2").splitlines()[-1])
    assert figures["tiny"]
    assert figures["packed_loss_error"] < 1e-5
    assert figures["packed_gradient_error"] < 1e-4
    for variant in ("ours", "naive", "steptool"):
        assert figures[variant]["tokens_per_s"] > 0
    assert figures["ours"]["mfu"] is None  # a toy says nothing of it
