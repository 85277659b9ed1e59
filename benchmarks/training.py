"""One update of offline PPO on SmolLM2-135M: ours against the naive way and against other trainers.

    OMP_NUM_THREADS=1 python benchmarks/training.py [--trl FOLDER] [--steptool CLONE --steptool-python PYTHON]

Trajectories are built from practice questions: a prompt with five solved questions, the same for all, then five steps
(four calls that the question set's script writes, with a thought each, what the tools answered, and the closing
answer); 750 to 904 tokens, 275 to 363 of them of actions. Float32, LoRA r = 8 on q and v. With `--own-examples` every
prompt has five solved questions of its own, so that trajectories have next to nothing in common.

naive      a row for each step, its prefix encoded again; separate models of actor, reference and critic; logits over
           the full vocabulary at every position; right padding, two rows at a time. (Exact also for the squared KL of
           a trajectory: its size is taken from a pass that is not timed.)
faithful   ours, critic `separate`: the same algorithm, to the last digit.
shared     ours, critic `shared`: one pass for actor and critic, which is another algorithm.
trl        TRL's experimental PPO (1.8 to 1.12) with stored actions in place of sampled ones, a row for each step.
steptool   StepTool's StepPPOTrainer from a clone, with one and with four PPO epochs, for each epoch. Its
           critic shares the trunk. It needs a Python with trl 0.10 or 0.11.

Every run has a process of its own and one thread; runs of the variants take turns. CPU seconds of one update over all
trajectories (the peers' rollout forwards included, since they make them for every batch), the fastest run of each
(peers run once); peak resident memory. Memory that a process touches for the first time costs seconds: ours and
StepTool make the update twice, and the second counts; naive makes its first micro-batch twice; TRL runs once. Ours and
naive compute V_old before, ours the reference too: `prepare` is that, once a stage, and `speed_vs_naive_one_epoch`
counts it. Loss and gradients of faithful are compared with those of naive.
The last line is JSON; null is what was not run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from stage_trainer import algorithm, trainer_of
from training_naive import run_naive
from training_setup import BETA, CLIP, LORA, head_of, move, timed
from training_workload import Workload, length, make_workload, step_rows, written

from spark_framework.config.policy import SMOLLM2
from spark_framework.contracts.stage import CriticConfig
from spark_framework.models.loading import load_model, locate
from spark_framework.training.data.token_tree import build_tree
from spark_framework.training.model.actor_critic import CRITIC, ActorCritic, add_actor_adapter

HERE = ("naive", "faithful", "shared")


# -- ours --------------------------------------------------------------------------------------------------------------


def run_ours(workload: Workload, result: dict[str, Any], kind: str, folder: Path) -> dict[str, Any]:
    critic = CriticConfig.model_validate({"kind": kind, "warmup_epochs": 0})
    count = len(workload.trajectories)
    one = algorithm("ppo", lora=LORA, critic=critic, clip=CLIP, beta=BETA, batch_size=count)
    model = add_actor_adapter(load_model(SMOLLM2, dtype="float32", device="cpu"), LORA, None, 0)
    agent = ActorCritic(model, workload.labels, critic, 0)
    move(model.named_parameters(), CRITIC, 2)
    assert agent.value_head is not None
    agent.value_head.load_state_dict(head_of(model.config.hidden_size, workload).state_dict())
    rows = [build_tree([each], workload.rewards, max_tokens=2048) for each in workload.trajectories]
    trainer = trainer_of(one, agent, rows, folder, kind)
    with timed(result, "prepare"):
        trainer.prepare()
        trainer.begin_epoch(0)
    move(model.named_parameters(), "default", 1)
    for _ in range(2):
        agent.model.zero_grad()
        agent.value_head.zero_grad()
        with timed(result, "update"):
            loss = trainer.training_step(model, trainer.data_collator(list(range(len(rows)))))
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    gradients.update({f"head.{n}": p.grad for n, p in agent.value_head.named_parameters()})
    return {"losses": (float(loss), trainer.update_figures["value_loss"]), "gradients": gradients}


# -- the processes -----------------------------------------------------------------------------------------------------


def worker(args: argparse.Namespace) -> None:
    """One variant in a process of its own; the result goes to a file."""
    torch.set_num_threads(1)
    workload = Workload.from_json(Path(args.workload).read_text(encoding="utf-8"))
    result: dict[str, Any] = {}
    out = Path(args.worker_output)
    with tempfile.TemporaryDirectory() as folder:
        if args.worker == "naive":
            numbers = run_naive(workload, result)
        elif args.worker in ("faithful", "shared"):
            numbers = run_ours(workload, result, {"faithful": "separate"}.get(args.worker, "shared"), Path(folder))
        else:
            from training_trl import trl_ppo

            result["update"] = trl_ppo(locate(SMOLLM2), list(step_rows(workload)), Path(folder))
            numbers = {}
    result["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    torch.save({"result": result, **numbers}, out)


def measure(variant: str, folder: Path, args: argparse.Namespace) -> dict[str, Any] | None:
    """Run a variant in a process; None where it failed, with its last words on stderr."""
    out = folder / "out.pt"
    if variant.startswith("steptool"):
        script = str(Path(__file__).with_name("training_steptool.py"))
        epochs = variant.removeprefix("steptool_")
        command = [args.steptool_python, script, locate(SMOLLM2), str(folder / "rows.json"), epochs]
        path = str(Path(args.steptool, "src", "steptool"))
    else:
        command = [sys.executable, __file__, "--worker", variant, "--workload", str(folder / "workload.json")]
        command += ["--worker-output", str(out)]
        path = args.trl if variant == "trl" else None
    search = os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": search}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(f"{variant} did not run: {' '.join(done.stderr.strip().splitlines()[-1:])}", file=sys.stderr)
        return None
    steptool = variant.startswith("steptool")
    found: dict[str, Any] = {"result": json.loads(done.stdout.splitlines()[-1])} if steptool else torch.load(out)
    figures = "  ".join(f"{name} {value:.2f}" for name, value in found["result"].items())
    print(f"{variant:12s} {figures}", flush=True)
    return found


def compared(naive: dict[str, Any], ours: dict[str, Any]) -> tuple[float, float, float]:
    """Largest difference of a loss, absolute and relative (a sum over steps grows with the advantages); largest
    relative L2 difference of the gradients of actor, critic and value head."""
    print(f"losses of actor and critic: {naive['losses']}, {ours['losses']}")
    losses = list(zip(naive["losses"], ours["losses"], strict=True))
    theirs, mine, errors = naive["gradients"], ours["gradients"], []
    assert theirs.keys() == mine.keys()
    for part in (".default.", f".{CRITIC}.", "head."):
        names = [name for name in theirs if part in name]
        gap = sum(float((mine[n] - theirs[n]).square().sum()) for n in names) ** 0.5
        errors.append(gap / sum(float(theirs[n].square().sum()) for n in names) ** 0.5)
    return max(abs(a - b) for a, b in losses), max(abs(a - b) / abs(a) for a, b in losses), max(errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--own-examples", action="store_true", help="other solved questions in every prompt")
    parser.add_argument("--trl", help="folder with an unpacked trl 1.8 to 1.12, if it is not installed")
    parser.add_argument("--steptool", help="a clone of yuyq18/StepTool")
    parser.add_argument("--steptool-python", help="a Python with trl 0.10 or 0.11, which it needs")
    for hidden in ("--worker", "--workload", "--worker-output"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args)
        return
    if bool(args.steptool) != bool(args.steptool_python):
        parser.error("--steptool and --steptool-python go together")
    variants = [*HERE, "trl", *(("steptool_1", "steptool_4") if args.steptool else ())]
    runs: dict[str, list[dict[str, Any]]] = {variant: [] for variant in variants}
    with tempfile.TemporaryDirectory() as folder:
        workload = make_workload(Path(folder), args.trajectories, own_examples=args.own_examples)
        Path(folder, "workload.json").write_text(workload.to_json(), encoding="utf-8")
        Path(folder, "rows.json").write_text(json.dumps(list(step_rows(workload))), encoding="utf-8")
        for one in workload.trajectories:
            lengths = f"{length(one)} tokens, prompt {len(one.prompt_ids)}, actions {written(one)}"
            print(f"{one.question.source}: {len(one.steps)} steps, {lengths}")
        for turn in range(args.repeats):
            for variant in HERE if turn else variants:
                if (found := measure(variant, Path(folder), args)) is not None:
                    runs[variant].append(found)
    report(runs)


def report(runs: dict[str, list[dict[str, Any]]]) -> None:
    def least(variant: str, figure: str = "update") -> float | None:
        return min((run["result"][figure] for run in runs.get(variant, [])), default=None)

    def ratio(above: float | None, below: float | None) -> float | None:
        return None if above is None or below is None else round(above / below, 2)

    def one_epoch(variant: str) -> float:
        return min(run["result"]["prepare"] + run["result"]["update"] for run in runs[variant])

    loss, relative_loss, gradient = compared(runs["naive"][0], runs["faithful"][0])
    ours = least("faithful")
    figures = {
        "speed_vs_naive": ratio(least("naive"), ours),
        "speed_vs_naive_one_epoch": ratio(one_epoch("naive"), one_epoch("faithful")),
        "memory_vs_naive": ratio(least("faithful", "peak_gb"), least("naive", "peak_gb")),
        "shared_speed_vs_naive": ratio(least("naive"), least("shared")),
        "max_loss_error": loss,
        "max_relative_loss_error": relative_loss,
        "max_gradient_error": gradient,
        "speed_vs_trl_ppo": ratio(least("trl"), ours),
        "speed_vs_steptool_1": ratio(least("steptool_1"), ours),
        "speed_vs_steptool_4": ratio(least("steptool_4"), ours),
    }
    missing = [variant for variant in ("trl", "steptool_1", "steptool_4") if not runs.get(variant)]
    print(f"not compared here: {', '.join(missing)}" if missing else "compared with every peer")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
