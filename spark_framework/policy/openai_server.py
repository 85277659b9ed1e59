"""A server that supports the OpenAI chat-completions protocol as policy: text in, text out, no token ids.

Its rollouts can be judged, stored and evaluated. Training needs token ids, which a server does not return.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from ..config.policy import ServerPolicyConfig
from ..errors import ConfigError, RunError
from ..records import ANSWER, Candidate, Question
from . import Continuation, Sampling
from .action_space import ActionSpace
from .formats import FORMATS, observation_text, question_text, system_text


class ServerPolicy:
    """Writes actions through chat completions, `concurrency` requests at a time. The SDK retries transient failures."""

    def __init__(self, config: ServerPolicyConfig, space: ActionSpace) -> None:
        self.config, self.space = config, space
        self.form = FORMATS[config.format](thoughts=config.thoughts)

    @cached_property
    def client(self) -> Any:
        """The SDK's client."""
        import openai  # takes 0.4 s: only when a server is used

        key = os.environ.get(self.config.api_key_env) or "none"
        return openai.OpenAI(base_url=self.config.base_url, api_key=key, timeout=self.config.timeout)

    def fingerprint(self) -> str:
        text = f"{self.config.base_url}\n{self.config.model}\n{self.form!r}\n{self.space.names}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def prompt_ids(self, question: Question) -> tuple[int, ...]:
        return ()

    def start(self, questions: Sequence[Question]) -> ServerEpisodeBatch:
        system = {"role": "system", "content": system_text(self.space, self.form, full=True)}
        return ServerEpisodeBatch(self, [[system, {"role": "user", "content": question_text(q)}] for q in questions])

    def complete(self, messages: list[dict[str, str]], sampling: Sampling, seed: int) -> str:
        """One reply.

        Raises:
            ConfigError: the server refuses the request: a wrong key, model or setting.
            RunError: the server is unreachable, overloaded, or does not support the protocol.
        """
        import openai

        try:
            reply = self.client.chat.completions.create(
                model=self.config.model, messages=messages, temperature=sampling.temperature,
                max_tokens=sampling.max_new_tokens, seed=seed % 2**31,
            )  # fmt: skip
        except openai.APIStatusError as exc:
            if exc.status_code in (400, 401, 403, 404):
                raise ConfigError(
                    f"policy: {self.config.base_url} refuses {self.config.model!r}: {_first_line(exc)}"
                ) from exc
            raise RunError(
                f"policy: {self.config.base_url} returned {exc.status_code}; run the same command again later"
            ) from exc
        except openai.APIConnectionError as exc:
            raise RunError(
                f"policy: no answer from {self.config.base_url} ({_first_line(exc)}); is the server running?"
            ) from exc
        except (openai.APIError, ValueError) as exc:  # the reply is not JSON
            raise RunError(
                f"policy: {self.config.base_url} does not support chat completions: {_first_line(exc)}"
            ) from exc
        try:
            return str(reply.choices[0].message.content or "")
        except (AttributeError, IndexError, TypeError) as exc:  # the SDK does not validate replies
            raise RunError(
                f"policy: {self.config.base_url} does not support chat completions: {_first_line(repr(reply))}"
            ) from exc


class ServerEpisodeBatch:
    """Open episodes as conversations."""

    def __init__(self, policy: ServerPolicy, rows: list[list[dict[str, str]]]) -> None:
        self.policy, self._rows = policy, rows

    def action_probs(self) -> list[dict[str, float]]:
        return [{} for _ in self._rows]

    def propose(
        self, actions: Sequence[Sequence[str]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[list[Candidate]]:
        jobs = [
            (row, name, seed + k, sampling)
            for row, names, seed in zip(self._rows, actions, seeds, strict=True)
            for k, name in enumerate(names)
        ]
        with ThreadPoolExecutor(self.policy.config.concurrency) as pool:
            done = iter(list(pool.map(lambda job: self._forced(*job), jobs)))
        return [[next(done) for _ in names] for names in actions]

    def act(self, allowed: Sequence[str], sampling: Sampling, seeds: Sequence[int]) -> list[Candidate]:
        if list(allowed) == [ANSWER]:
            return [row[0] for row in self.propose([[ANSWER]] * len(self._rows), sampling, seeds)]
        with ThreadPoolExecutor(self.policy.config.concurrency) as pool:
            texts = pool.map(lambda row, seed: self.policy.complete(row, sampling, seed), self._rows, seeds)
            return [self._read(text, None) for text in texts]

    def step(self, continuations: Sequence[Continuation]) -> list[tuple[int, ...]]:
        self._rows = [
            [
                *self._rows[continuation.row],
                {"role": "assistant", "content": continuation.candidate.text},
                {"role": "user", "content": observation_text(continuation.observation)},
            ]
            for continuation in continuations
        ]
        return [() for _ in continuations]

    def _forced(self, row: list[dict[str, str]], action: str, seed: int, sampling: Sampling) -> Candidate:
        last = row[-1]
        wish = f"{last['content']}\n\n(Your next action has to be {action}. Write it in the format above.)"
        return self._read(self.policy.complete([*row[:-1], {**last, "content": wish}], sampling, seed), action)

    def _read(self, text: str, wanted: str | None) -> Candidate:
        """Parse what the model wrote into a candidate. `wanted` is the action that it had to take, or None."""
        space, form = self.policy.space, self.policy.form
        name, body = form.parse_free(text)
        if wanted is not None and name is None:
            name, body = wanted, text  # the bare input, without the action's name
        if name not in space.names or (wanted is not None and name != wanted):
            known = wanted or ", ".join(space.names)
            return Candidate(
                action=wanted or name or "?", arguments=None, text=text, error=f"error: name the action {known}"
            )
        thought, arguments, error = form.parse_body(body, space[name])
        return Candidate(action=name, arguments=arguments, thought=thought, text=text, error=error)


def _first_line(what: object) -> str:
    return " ".join(str(what).split())[:200]
