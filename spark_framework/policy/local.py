"""A local transformers model as policy: batched, with one key-value cache across candidates and steps."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..models.branched_generation import Branches
from ..records import Candidate, Question
from . import Continuation, Sampling
from .renderer import Renderer


class LocalPolicy:
    """Writes actions with a causal language model.

    Args:
        model: a transformers model in evaluation mode (a PEFT model works too).
        renderer: tokens for the run's actions and prompt format.
        batch_size: questions that share one cache; rows of different length are padded on the left.
        constrained: choose actions by the softmax over the action names. False: generate freely and parse.
        name: of model and adapter, for the fingerprint.
    """

    def __init__(
        self, model: Any, renderer: Renderer, *, batch_size: int = 16, constrained: bool = True, name: str = ""
    ) -> None:
        self.model, self.renderer = model, renderer
        self.batch_size, self.constrained, self.name = batch_size, constrained, name

    def fingerprint(self) -> str:
        form = self.renderer.form
        text = f"{self.name}\n{self.model.dtype}\n{form!r}\n{self.renderer.space.names}\n{self.constrained}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def prompt_ids(self, question: Question) -> tuple[int, ...]:
        return tuple(self.renderer.prompt_ids(question))

    def start(self, questions: Sequence[Question]) -> LocalEpisodeBatch:
        return LocalEpisodeBatch(self, [self.renderer.prompt_ids(question) for question in questions])


class LocalEpisodeBatch:
    """Open episodes of a local model. Those of similar length share a cache."""

    def __init__(self, policy: LocalPolicy, prompts: list[list[int]]) -> None:
        self.policy = policy
        order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
        size = policy.batch_size
        chunks = [order[at : at + size] for at in range(0, len(order), size)]
        self._batches = [CachedRows(policy, [prompts[i] for i in chunk]) for chunk in chunks]
        self._rows = [(b, r) for b, chunk in enumerate(chunks) for r in range(len(chunk))]
        self._rows = [row for _, row in sorted(zip(order, self._rows, strict=True))]

    def action_probs(self) -> list[dict[str, float]]:
        names = self.policy.renderer.space.names
        heads = [batch.head_logprobs().exp().tolist() for batch in self._batches]
        return [dict(zip(names, heads[b][r], strict=True)) for b, r in self._rows]

    def propose(
        self, actions: Sequence[Sequence[str]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[list[Candidate]]:
        wanted: list[list[tuple[int, str, int]]] = [[] for _ in self._batches]
        for (b, r), names, seed in zip(self._rows, actions, seeds, strict=True):
            wanted[b] += [(r, name, seed + k) for k, name in enumerate(names)]
        written = [iter(batch.write(rows, sampling)) for batch, rows in zip(self._batches, wanted, strict=True)]
        by_row = {(b, r): [next(written[b]) for _ in names] for (b, r), names in self._in_batch_order(actions)}
        return [by_row[row] for row in self._rows]

    def act(self, allowed: Sequence[str], sampling: Sampling, seeds: Sequence[int]) -> list[Candidate]:
        if not self.policy.constrained and len(allowed) > 1:
            free = [iter(batch.write_free(self._seeds(b, seeds), sampling)) for b, batch in enumerate(self._batches)]
            by_row = {row: next(free[row[0]]) for row, _ in self._in_batch_order(seeds)}
            return [by_row[row] for row in self._rows]
        chosen = []
        for probs, seed in zip(self.action_probs(), seeds, strict=True):
            weights = [probs[name] for name in allowed]
            if sampling.temperature == 0:
                chosen.append([allowed[weights.index(max(weights))]])
            else:
                tempered = [weight ** (1 / sampling.temperature) for weight in weights]
                chosen.append(random.Random(seed).choices(list(allowed), tempered))
        return [row[0] for row in self.propose(chosen, sampling, seeds)]

    def step(self, continuations: Sequence[Continuation]) -> list[tuple[int, ...]]:
        contexts = [
            self.policy.renderer.context_ids(continuation.candidate, continuation.observation)
            for continuation in continuations
        ]
        taken: list[list[int]] = [[] for _ in self._batches]
        fed: list[list[list[int]]] = [[] for _ in self._batches]
        rows = []
        for continuation, context in zip(continuations, contexts, strict=True):
            b, r = self._rows[continuation.row]
            rows.append((b, len(taken[b])))
            taken[b].append(r)
            fed[b].append([*continuation.candidate.token_ids, *context])
        for batch, keep, tokens in zip(self._batches, taken, fed, strict=True):
            batch.select(keep)
            if keep:
                batch.feed(tokens)
        self._rows = rows
        return contexts

    def cached_rows(self) -> list[tuple[CachedRows, list[tuple[int, int]]]]:
        """The caches, each with its episodes: (index in this batch, row of the cache)."""
        held: list[list[tuple[int, int]]] = [[] for _ in self._batches]
        for i, (b, r) in enumerate(self._rows):
            held[b].append((i, r))
        return list(zip(self._batches, held, strict=True))

    def _in_batch_order(self, values: Sequence[Any]) -> list[tuple[tuple[int, int], Any]]:
        """Rows in the order in which `CachedRows` returns them, which is that of `self._rows` within every cache."""
        return list(zip(self._rows, values, strict=True))

    def _seeds(self, b: int, seeds: Sequence[int]) -> list[tuple[int, int]]:
        return [(r, seed) for (batch, r), seed in zip(self._rows, seeds, strict=True) if batch == b]


class CachedRows:
    """Episodes that share one left-padded cache. The last hidden state of each row predicts its next action's name."""

    def __init__(self, policy: LocalPolicy, prompts: list[list[int]]) -> None:
        import torch
        from transformers import DynamicCache

        self.policy = policy
        model = policy.model.get_base_model() if hasattr(policy.model, "get_base_model") else policy.model
        self.trunk, self.head = model.base_model, model.get_output_embeddings()
        self.device = model.device
        self.cache = DynamicCache()
        self.mask = torch.zeros(len(prompts), 0, dtype=torch.long, device=self.device)
        shared = _common_prefix(prompts)
        if len(prompts) > 1 and shared > 1:  # the instruction is the same for all: encode it once
            self.mask = self.mask[:1]
            self.feed([prompts[0][:shared]])
            self.select([0] * len(prompts))
            prompts = [prompt[shared:] for prompt in prompts]
        self.feed(prompts)

    def feed(self, rows: Sequence[Sequence[int]]) -> None:
        """Append tokens to every row; sets `hidden` [rows, width], the state after each row's last token."""
        import torch

        width = max(map(len, rows))
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        real = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, width - len(row) :] = torch.tensor(row, dtype=torch.long)
            real[i, width - len(row) :] = 1
        self.mask = torch.cat([self.mask, real.to(self.device)], 1)
        positions = (self.mask.cumsum(1) - 1).clamp(min=0)[:, -width:]
        with torch.no_grad():
            out = self.trunk(
                input_ids=ids.to(self.device), past_key_values=self.cache, use_cache=True,
                attention_mask=self.mask, position_ids=positions,
            )  # fmt: skip
        self.hidden = out.last_hidden_state[:, -1].contiguous()

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may occur several times."""
        import torch
        from transformers import DynamicCache

        index = torch.tensor(rows, dtype=torch.long, device=self.device)
        cache = DynamicCache()
        layers: Any = self.cache.layers
        for number, layer in enumerate(layers):
            cache.update(layer.keys.index_select(0, index), layer.values.index_select(0, index), number)
        self.cache, self.mask, self.hidden = cache, self.mask[index], self.hidden[index]

    def head_logprobs(self) -> Any:
        """[rows, actions]: log of the softmax over the action names, in nats."""
        import torch

        prefixes = self.policy.renderer.prefixes
        labels = [prefixes[name].label for name in self.policy.renderer.space.names]
        weight = self.head.weight[torch.tensor(labels, device=self.device)]
        return (self.hidden.float() @ weight.float().T).log_softmax(-1)

    def write(self, wanted: Sequence[tuple[int, str, int]], sampling: Sampling) -> list[Candidate]:
        """One candidate for each (row, action, seed)."""
        if not wanted:
            return []
        renderer = self.policy.renderer
        names = renderer.space.names
        heads = self.head_logprobs().tolist()
        branches = self.branches([row for row, _, _ in wanted])
        branches.feed([renderer.prefixes[action].ids for _, action, _ in wanted])
        bodies = self.generate(branches, [seed for _, _, seed in wanted], sampling)
        return [
            renderer.written(action, ids, [heads[row][names.index(action)], *logprobs])
            for (row, action, _), (ids, logprobs) in zip(wanted, bodies, strict=True)
        ]

    def write_free(self, rows: Sequence[tuple[int, int]], sampling: Sampling) -> list[Candidate]:
        """One unconstrained turn for each (row, seed)."""
        bodies = self.generate(self.branches([row for row, _ in rows]), [seed for _, seed in rows], sampling)
        return [self.policy.renderer.free(ids, logprobs) for ids, logprobs in bodies]

    def generate(
        self, branches: Branches, seeds: Sequence[int], sampling: Sampling
    ) -> list[tuple[list[int], list[float]]]:
        """Continue every branch until its stop token or the limit: token ids and log-probabilities (temperature 1).

        Each branch draws from its own seed. The other rows of its batch change the probabilities by rounding only.
        """
        import torch

        stop = self.policy.renderer.stop_id
        written: list[tuple[list[int], list[float]]] = [([], []) for _ in seeds]
        draws = [random.Random(seed) for seed in seeds]
        growing = list(range(len(seeds)))
        for last in range(sampling.max_new_tokens, 0, -1):
            logits = torch.nn.functional.linear(branches.hidden[growing], self.head.weight).float()
            logprobs = logits.log_softmax(-1)
            if sampling.temperature == 0:
                tokens = logits.argmax(-1)
            else:
                mass = (logits / sampling.temperature).softmax(-1).cumsum(-1)
                uniform = torch.tensor([draws[branch].random() for branch in growing], device=self.device)[:, None]
                tokens = torch.searchsorted(mass, uniform * mass[:, -1:]).clamp(max=mass.shape[1] - 1)[:, 0]
            values = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
            fed: list[list[int]] = [[] for _ in seeds]
            for branch, token, value in zip(growing, tokens.tolist(), values, strict=True):
                written[branch][0].append(token)
                written[branch][1].append(value)
                fed[branch] = [] if token == stop else [token]
            growing = [branch for branch in growing if fed[branch]]
            if not growing or last == 1:
                break
            branches.feed(fed)
        return written

    def branches(self, rows: Sequence[int]) -> Branches:
        """Branches that continue the states of these rows."""
        return Branches(self.trunk, self.cache, self.mask, self.hidden, rows)


def _common_prefix(rows: Sequence[Sequence[int]]) -> int:
    """Number of leading tokens that all rows share; at least one token of each row is left to feed."""
    shared = 0
    shortest = min(map(len, rows))
    while shared < shortest - 1 and all(row[shared] == rows[0][shared] for row in rows):
        shared += 1
    return shared


def adapter_name(model: str, adapter: Path | None) -> str:
    """Model and adapter for a fingerprint; the adapter is identified by a hash of its weights."""
    if adapter is None:
        return model
    digest = hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest()[:16]
    return f"{model}+{digest}"
