"""Renders everything that a policy reads or writes as token ids. No weights are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..records import LETTERS, Call, Candidate, Question
from .action_space import ActionSpace
from .formats import ActionFormat, observation_text, question_text, system_text

_MARK = ("\ue000", "\ue001", "\ue002", "\ue003")
"""Private-use characters that mark turns while the template is parsed."""


@dataclass(frozen=True)
class ActionPrefix:
    """The first tokens of an action: the label is drawn from the action head, and the rest is fixed given the label."""

    label: int
    rest: tuple[int, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Label and rest."""
        return (self.label, *self.rest)


class Renderer:
    """Renders questions, calls and observations as token ids with the tokenizer's chat template.

    Texts of tools and questions are tokenised with special tokens split, so that `<|im_end|>` in a tool's text never
    becomes a control token. Turns are only appended: the token row of a trajectory equals its step-wise prompts.

    Raises:
        ConfigError: the chat template changes turns, or two action names begin with the same token.
    """

    def __init__(self, tokenizer: Any, space: ActionSpace, form: ActionFormat, *, full_prompt: bool = False) -> None:
        self.tokenizer, self.space, self.form = tokenizer, space, form
        self._system = system_text(space, form, full=full_prompt)
        self._read_template()
        self.prefixes = self._action_prefixes()

    def text_ids(self, text: str) -> list[int]:
        """Token ids of untrusted text: none of them is a control token."""
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        return [int(i) for i in ids]

    def prompt_ids(self, question: Question) -> list[int]:
        """The state before the first step: everything before the first action's name."""
        return [*self._before_question, *self.text_ids(question_text(question)), *self._after_user]

    def call_ids(self, call: Call) -> tuple[int, ...]:
        """A complete turn of a scripted call: prefix, body, stop token."""
        body = self.form.body(call, self.space[call.action])
        return (*self.prefixes[call.action].ids, *self.text_ids(body), self.stop_id)

    def context_ids(self, candidate: Candidate, observation: str) -> tuple[int, ...]:
        """What the environment appends after a candidate: the missing part of the end of turn, observation, lead."""
        ended = bool(candidate.token_ids) and candidate.token_ids[-1] == self.stop_id
        end = self._turn_end[1:] if ended else self._turn_end
        return (*end, *self.text_ids(observation_text(observation)), *self._after_user)

    def scripted(self, call: Call) -> Candidate:
        """A candidate from a scripted call."""
        ids = self.call_ids(call)
        text = self.form.body(call, self.space[call.action])
        return Candidate(
            action=call.action, arguments=call.arguments, thought=call.thought, text=text,
            token_ids=ids, opening=len(self.prefixes[call.action].ids),
        )  # fmt: skip

    def written(self, action: str, body_ids: list[int], logprobs: list[float]) -> Candidate:
        """A candidate from the tokens that the policy generated after the action's prefix. `logprobs`, in nats: of the
        label, then of the body."""
        prefix = self.prefixes[action]
        text = self.tokenizer.decode([i for i in body_ids if i != self.stop_id])
        thought, arguments, error = self.form.parse_body(text, self.space[action])
        return Candidate(
            action=action, arguments=arguments, thought=thought, text=text, error=error,
            token_ids=(*prefix.ids, *body_ids), opening=len(prefix.ids),
            token_logprobs=(logprobs[0], *([0.0] * len(prefix.rest)), *logprobs[1:]),
        )  # fmt: skip

    def free(self, ids: list[int], logprobs: list[float]) -> Candidate:
        """A candidate from a turn that the policy wrote freely after the lead."""
        text = self.tokenizer.decode([i for i in ids if i != self.stop_id])
        name, body = self.form.parse_free(self.form.lead + text)
        common = {"text": text, "token_ids": tuple(ids), "token_logprobs": tuple(logprobs)}
        if name not in self.space.names:
            known = ", ".join(self.space.names)
            return Candidate(action=name or "?", arguments=None, error=f"error: name one action of {known}", **common)
        thought, arguments, error = self.form.parse_body(body, self.space[name])
        return Candidate(action=name, arguments=arguments, thought=thought, error=error, **common)

    # -- setup ----------------------------------------------------------------------------------------------------

    def _read_template(self) -> None:
        """Find the fixed text around turns by rendering a conversation of marks."""
        system, user, assistant, reply = _MARK
        if self.tokenizer.chat_template is None:
            stop = self.tokenizer.eos_token
            text = f"{self._system}\n\n{user}\n{assistant}{stop}\n{reply}\n"
        else:
            turns = [
                {"role": "system", "content": system},
                {"role": "user", "content": user},
                {"role": "assistant", "content": assistant},
                {"role": "user", "content": reply},
            ]
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            text = text.replace(system, self._system)
        if not all(text.count(mark) == 1 for mark in (user, assistant, reply)):
            raise ConfigError(
                "policy.model: its chat template drops or repeats turns; use a model with a plain template"
            )
        before, rest = text.split(user)
        after_user, rest = rest.split(assistant)
        turn_end, after_reply = rest.split(reply)
        if after_reply != after_user:
            raise ConfigError(
                "policy.model: its chat template rewrites earlier turns, so stored tokens would not match"
            )

        def ids(text: str) -> list[int]:
            return [int(i) for i in self.tokenizer(text, add_special_tokens=False).input_ids]

        self._before_question = ids(before)
        self._after_user = [*ids(after_user), *ids(self.form.lead)]
        self._turn_end = ids(turn_end)
        self.stop_id = self._turn_end[0]

    def _action_prefixes(self) -> dict[str, ActionPrefix]:
        """The first token identifies the action, so names that begin with the same token get a letter as prefix."""
        ids = {name: self.text_ids(self.form.name_text(name)) for name in self.space.names}
        firsts = [tokens[0] for tokens in ids.values()]
        alike = [name for name, tokens in ids.items() if firsts.count(tokens[0]) > 1]
        for letter, name in zip(LETTERS, alike, strict=False):
            ids[name] = self.text_ids(self.form.name_text(f"{letter}:{name}"))
        if len({tokens[0] for tokens in ids.values()}) < len(ids):
            raise ConfigError(f"tools: the names {', '.join(alike)} begin with the same token; rename one of them")
        return {
            name: ActionPrefix(tokens[0], (*tokens[1:], *self.text_ids(self.form.middle(name))))
            for name, tokens in ids.items()
        }
