"""A judge with a taste, a mood and a price, asked like a remote one: for studies whose result is known beforehand."""

from __future__ import annotations

import random
from typing import Any

from spark_framework.api import (
    ApiReply,
    ApiRequest,
    ComponentConfig,
    JudgeError,
    JudgeRequest,
    Price,
    RemoteJudge,
    Usage,
    Verdict,
)


class Noisy(RemoteJudge):
    """Scores by the candidate and the question, plus a taste for actions, plus noise that another order draws anew."""

    name = "noisy"

    class Config(ComponentConfig):
        taste: int = 0
        """Judges of one taste agree, but for their noise."""
        noise: float = 0.0
        place: float = 0.0
        """Points for each place further down."""
        fails_on: str = ""
        """The judge refuses questions of categories that begin so."""
        dollars: float = 1.0
        """For a million tokens."""

    asked = 0
    """Calls of all judges of this class."""

    @property
    def price(self) -> Price:
        return Price(input=self.config.dollars, output=0.0)

    @property
    def priced_model(self) -> str:
        return "noisy-1"

    def request(self, request: JudgeRequest) -> ApiRequest:
        order = list(range(len(request.candidates)))
        random.Random(request.seed).shuffle(order)
        shown = [[c.action, str(c.arguments)] for c in (request.candidates[k] for k in order)]
        config = self.config.model_dump(exclude={"dollars"})
        body = {"question": request.question.text, "category": request.question.category, "steps": len(request.steps)}
        return ApiRequest(endpoint="local:noisy", body={**body, "shown": shown, "order": order, **config})

    def send(self, api_request: ApiRequest) -> ApiReply:
        type(self).asked += 1
        body: dict[str, Any] = api_request.body
        if body["fails_on"] and body["category"].startswith(body["fails_on"]):
            raise JudgeError("this is nothing for me", "refusal")
        mood = random.Random(api_request.key)
        scores = []
        for place, (action, arguments) in enumerate(body["shown"]):
            worth = random.Random(f"{body['question']}/{body['steps']}/{action}/{arguments}").uniform(3, 9)
            taste = random.Random(f"{body['taste']}/{action}").uniform(-2, 2) if body["taste"] else 0.0
            score = worth + taste + mood.gauss(0, body["noise"]) + body["place"] * place
            scores.append(min(10, max(0, round(score))))
        said = {"scores": scores, "order": body["order"]}
        return ApiReply(body=said, usage=Usage(input_tokens=100), model="noisy-1")

    def read(self, request: JudgeRequest, reply: ApiReply) -> Verdict:
        order = reply.body["order"]
        scores = [float(reply.body["scores"][order.index(k)]) for k in range(len(order))]
        return Verdict(
            scores=tuple(scores), process_ok=tuple(score > 4 for score in scores), judge=self.name,
            fingerprint=self.fingerprint(), order=tuple(order),
        )  # fmt: skip
