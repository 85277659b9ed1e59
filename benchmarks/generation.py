"""Candidate scoring and nine-way sampling: one cache over candidates and steps, against one by one.

    OMP_NUM_THREADS=1 python benchmarks/generation.py                 # SmolLM2-135M in float32
    python benchmarks/generation.py --model models/mine --dtype bfloat16

One episode of five steps with the eight default tools (`--prompt full` describes them; states are then three times as
long, and the ratios larger). Every step has nine candidates: one an action, written by the model; one of them is
followed, and an observation of some forty tokens comes back.

scoring    log-probabilities of the tokens of all nine candidates at all five steps. One by one: every candidate with
           its complete prefix in a forward pass of its own, logits at its own tokens only. Ours:
           `candidate_logprobs` and `LocalEpisodeBatch.step`.
sampling   nine candidates of one state (the last one). One by one: `LocalPolicy` writes one candidate at a time, each
           from a fresh prefill; the same tokens come out. Also transformers' own `generate`, one by one and with
           as many new tokens. The ratio is against the faster of the two.

All variants take turns within each repeat, so that other load affects all equally. CPU seconds of the process,
medians over the repeats. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

import torch

from spark_framework import RunConfig
from spark_framework.host.lifecycle import open_tools
from spark_framework.policy import Continuation, Sampling
from spark_framework.policy.action_space import ActionSpace
from spark_framework.policy.candidate_logprobs import candidate_logprobs
from spark_framework.policy.factory import open_policy
from spark_framework.policy.local import LocalPolicy
from spark_framework.questions import open_questions
from spark_framework.records import Candidate, Question

STEPS = 5
OBSERVATION = (
    "Water has the molar mass 18.015 g/mol; two hydrogen atoms of 1.008 g/mol and one oxygen atom of 15.999 g/mol."
)


class Stop(NamedTuple):
    """One state of the episode: its tokens, and its nine candidates."""

    state: list[int]
    candidates: list[Candidate]


def episode(policy: LocalPolicy, question: Question, sampling: Sampling) -> list[Stop]:
    """Five steps; at step t the t-th candidate is followed."""
    names = policy.renderer.space.candidates
    batch = policy.start([question])
    state, stops = list(policy.prompt_ids(question)), []
    for step in range(STEPS):
        ((*candidates,),) = batch.propose([names], sampling, [100 * step])
        stops.append(Stop(list(state), candidates))
        (context,) = batch.step([Continuation(0, candidates[step], OBSERVATION)])
        state += [*candidates[step].token_ids, *context]
    return stops


def score_together(policy: LocalPolicy, question: Question, stops: Sequence[Stop]) -> list[tuple[float, ...]]:
    batch, scores = policy.start([question]), []
    for step, stop in enumerate(stops):
        (row,) = candidate_logprobs(batch, [stop.candidates])
        scores += row
        if step + 1 < len(stops):
            batch.step([Continuation(0, stop.candidates[step], OBSERVATION)])
    return scores


@torch.no_grad()
def score_one_by_one(policy: LocalPolicy, stops: Sequence[Stop]) -> list[tuple[float, ...]]:
    labels = [policy.renderer.prefixes[name].label for name in policy.renderer.space.names]
    scores = []
    for stop in stops:
        for candidate in stop.candidates:
            ids = candidate.token_ids
            out = policy.model(
                input_ids=torch.tensor([[*stop.state, *ids]]), logits_to_keep=len(ids) + 1, use_cache=False
            )
            logp = out.logits[0, :-1].float().log_softmax(-1)
            head = out.logits[0, 0, labels].float().log_softmax(-1)
            body = [float(logp[k, ids[k]]) for k in range(candidate.opening, len(ids))]
            scores.append((float(head[labels.index(ids[0])]), *[0.0] * (candidate.opening - 1), *body))
    return scores


def at_the_last_state(policy: LocalPolicy, stops: Sequence[Stop]) -> LocalPolicy:
    """The policy with the last state as its prompt: every sampling starts with that prefill."""
    renderer: Any = _Fixed(policy.renderer, stops[-1].state)
    return LocalPolicy(policy.model, renderer, batch_size=1)


class _Fixed:
    """A renderer whose prompt is a given state."""

    def __init__(self, renderer: Any, state: list[int]) -> None:
        self._renderer, self._state = renderer, state

    def prompt_ids(self, question: Question) -> list[int]:
        return list(self._state)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._renderer, name)


def sample_together(policy: LocalPolicy, question: Question, sampling: Sampling) -> list[Candidate]:
    (candidates,) = policy.start([question]).propose([policy.renderer.space.candidates], sampling, [7])
    return candidates


def sample_one_by_one(policy: LocalPolicy, question: Question, sampling: Sampling) -> list[Candidate]:
    written = []
    for k, name in enumerate(policy.renderer.space.candidates):
        ((candidate,),) = policy.start([question]).propose([[name]], sampling, [7 + k])
        written.append(candidate)
    return written


def generate_one_by_one(policy: LocalPolicy, question: Question, like: Sequence[Candidate]) -> None:
    """transformers' own generation: from the same states, as many new tokens."""
    for candidate in like:
        opening, count = candidate.token_ids[: candidate.opening], len(candidate.token_ids) - candidate.opening
        ids = torch.tensor([[*policy.renderer.prompt_ids(question), *opening]])
        policy.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=0.7, top_k=0, top_p=1.0,
            min_new_tokens=count, max_new_tokens=count, pad_token_id=policy.renderer.stop_id,
        )  # fmt: skip


def largest_difference(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> float:
    return max(abs(a - b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model folder, .gguf file or hub id (default: the embedded SmolLM2-135M)")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompt", choices=("short", "full"), default="short")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-new-tokens", type=int, default=48)
    args = parser.parse_args()

    section = {"dtype": args.dtype, "prompt": args.prompt, "device": "cpu", "threads": 1}
    if args.model:
        section["model"] = args.model
    config = RunConfig.model_validate({"policy": section, "questions": "practice"})
    with open_tools(config.tools) as tools:
        policy = open_policy(config.policy, ActionSpace.of(tools))
    assert isinstance(policy, LocalPolicy)
    (question,) = open_questions(config.questions, 0).train(0, 1)
    sampling = Sampling(0.7, args.max_new_tokens)
    stops = episode(policy, question, sampling)
    last = at_the_last_state(policy, stops)
    written = sum(len(candidate.token_ids) for stop in stops for candidate in stop.candidates)
    print(f"states of {[len(stop.state) for stop in stops]} tokens; 45 candidates with {written} tokens; {args.dtype}")

    like = sample_together(last, question, sampling)
    ways: dict[str, Callable[[], Any]] = {
        "scoring, one by one": lambda: score_one_by_one(policy, stops),
        "scoring, ours": lambda: score_together(policy, question, stops),
        "sampling, one by one": lambda: sample_one_by_one(last, question, sampling),
        "sampling, one by one, transformers": lambda: generate_one_by_one(last, question, like),
        "sampling, ours": lambda: sample_together(last, question, sampling),
    }
    results: dict[str, Any] = {}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.repeats):
        for name, work in ways.items():
            start = time.process_time()
            results[name] = work()
            times[name].append(time.process_time() - start)
    difference = largest_difference(results["scoring, ours"], results["scoring, one by one"])
    pairs = zip(results["sampling, ours"], results["sampling, one by one"], strict=True)
    print(f"largest difference of a log-probability: {difference:.1e} nats")
    print(f"sampled candidates that are the same one by one: {sum(a.token_ids == b.token_ids for a, b in pairs)} of 9")
    middle = {name: median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:36} {middle[name]:7.2f} s   ({', '.join(f'{value:.2f}' for value in values)})")
    plain = min(middle["sampling, one by one"], middle["sampling, one by one, transformers"])
    print(json.dumps({
        "candidate_scoring_x": round(middle["scoring, one by one"] / middle["scoring, ours"], 2),
        "sampling_x": round(plain / middle["sampling, ours"], 2),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
