"""Every default plugin keeps the published contract of its kind. A new one is a class of three lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import ClassVar

import pytest

from spark_framework.api import Algorithm, ApiReply, Judge, JudgeRequest, RemoteJudge, RewardTerm, Selector, Tool
from spark_framework.host.discovery import OWN_DISTRIBUTION, scan
from spark_framework.testing import (
    AlgorithmContract,
    ComponentContract,
    JudgeContract,
    RemoteJudgeContract,
    RewardTermContract,
    SelectorContract,
    ToolContract,
)
from spark_plugin_algorithms.dpo import DPO
from spark_plugin_algorithms.group import Group
from spark_plugin_algorithms.ppo import PPO
from spark_plugin_algorithms.replay import Replay
from spark_plugin_algorithms.rft import RFT
from spark_plugin_algorithms.sft import SFT
from spark_plugin_algorithms.spark import Spark
from spark_plugin_algorithms.steptool import StepTool
from spark_plugin_judges.jury import Jury
from spark_plugin_judges.llm.claude import Claude
from spark_plugin_judges.llm.gpt4o import GPT4o
from spark_plugin_judges.llm.prompt import labels, shuffled
from spark_plugin_judges.scripted import Scripted
from spark_plugin_judges.steptool.annotator import SteptoolAnnotator
from spark_plugin_judges.steptool.rules import SteptoolRules
from spark_plugin_judges.verifier import Verifier
from spark_plugin_rewards.contribution import Contribution
from spark_plugin_rewards.diversity_gap import DiversityGap
from spark_plugin_rewards.is_solved import IsSolved
from spark_plugin_rewards.outcome import Outcome
from spark_plugin_rewards.process_penalty import ProcessPenalty
from spark_plugin_rewards.succ_calling import SuccCalling
from spark_plugin_rewards.usage_rarity import UsageRarity
from spark_plugin_selectors.least_used import LeastUsed
from spark_plugin_selectors.rarity_first import RarityFirst
from spark_plugin_selectors.softmax import Softmax
from spark_plugin_selectors.top_score import TopScore
from spark_plugin_selectors.uniform import Uniform
from spark_plugin_tools.calculator import Calculator
from spark_plugin_tools.knowledge.dictionary import Dictionary
from spark_plugin_tools.knowledge.encyclopedia import Encyclopedia
from spark_plugin_tools.knowledge.search import Search
from spark_plugin_tools.python import Python
from spark_plugin_tools.science import Science
from spark_plugin_tools.solver import Solver
from spark_plugin_tools.stats_finance import StatsFinance


class DefaultTool(ToolContract):
    cls: type[Tool]

    @pytest.fixture(scope="class")
    @classmethod
    def tool(cls) -> Iterator[Tool]:
        """One instance for all checks: workers and indexes are opened once."""
        tool = cls.cls()
        yield tool
        tool.close()


class TestCalculator(DefaultTool):
    cls, arguments = Calculator, {"expression": "sqrt(2) + 25/3 + sin(1)"}


class TestPython(DefaultTool):
    cls, arguments = Python, {"code": "import random\nprint(random.random(), hash('a'))"}


class TestSolver(DefaultTool):
    cls, arguments = Solver, {"op": "solve", "expressions": ["x^2 = 5"]}


class TestScience(DefaultTool):
    cls, arguments = Science, {"op": "convert", "value": 3, "frm": "mile", "to": "km"}


class TestStatsFinance(DefaultTool):
    cls, arguments = StatsFinance, {"op": "dist", "name": "normal", "fn": "cdf", "x": 1}


class TestEncyclopedia(DefaultTool):
    cls, arguments = Encyclopedia, {"query": "capital of Peru"}
    variants: ClassVar = {"sources": ["packaged", "mediawiki"]}
    ignored_settings = Encyclopedia.PLACES | {"online"}  # the file's digest counts, where there is one


class TestDictionary(DefaultTool):
    cls, arguments = Dictionary, {"term": "tort"}
    variants: ClassVar = {"sources": ["glossary", "wiktionary"]}
    ignored_settings = Dictionary.PLACES | {"online"}


class TestSearch(DefaultTool):
    cls, arguments = Search, {"query": "battle"}
    variants: ClassVar = {"sources": ["articles", "tavily"]}
    ignored_settings = Search.PLACES | {"online"}


class TestVerifier(JudgeContract):
    @pytest.fixture
    def judge(self) -> Judge:
        return Verifier()


class TestScripted(JudgeContract):
    @pytest.fixture
    def judge(self) -> Judge:
        return Scripted(Scripted.Config(scores={"search": 8.5}, process_ok={"think": False}))


def said(step: JudgeRequest, scores: Sequence[int]) -> str:
    """What the prompt asks a model to write."""
    order = shuffled(step)
    names = labels(len(order))
    given = {name: scores[k] for name, k in zip(names, order, strict=True)}
    return json.dumps({"scores": given, "process_ok": dict.fromkeys(names, True)})


class TestGPT4o(RemoteJudgeContract):
    ignored_settings = frozenset({"api_key_env", "timeout", "price"})

    @pytest.fixture
    def judge(self) -> RemoteJudge:
        return GPT4o()

    def good_reply(self, judge: RemoteJudge, step: JudgeRequest, scores: Sequence[int]) -> ApiReply:
        text = said(step, scores)
        return ApiReply(body={"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})


class TestClaude(RemoteJudgeContract):
    ignored_settings = frozenset({"api_key_env", "timeout", "price"})

    @pytest.fixture
    def judge(self) -> RemoteJudge:
        return Claude()

    def good_reply(self, judge: RemoteJudge, step: JudgeRequest, scores: Sequence[int]) -> ApiReply:
        return ApiReply(body={"content": [{"type": "text", "text": said(step, scores)}], "stop_reason": "end_turn"})


class TestJury(JudgeContract):
    variants: ClassVar = {"members": ["verifier", "scripted"], "quorum": 1}

    @pytest.fixture
    def judge(self) -> Judge:
        return Jury(Jury.Config(members=[{"use": "scripted"}, {"use": "scripted", "scores": {"search": 2.0}}]))


class DefaultJudge(ComponentContract):
    """Of judges that need weights, a file or a finished trajectory: what holds for components of all kinds."""

    kind, subject = "judge", "judge"
    cls: type[Judge]
    settings: ClassVar[dict] = {}

    @pytest.fixture
    def judge(self) -> Judge:
        return self.cls(self.cls.Config(**self.settings))


class TestSteptoolRules(DefaultJudge):
    cls = SteptoolRules


class TestSteptoolAnnotator(DefaultJudge):
    cls = SteptoolAnnotator
    ignored_settings = frozenset({"api_key_env", "timeout", "price"})


class DefaultSelector(SelectorContract):
    cls: type[Selector]

    @pytest.fixture
    def selector(self) -> Selector:
        return self.cls()


class TestRarityFirst(DefaultSelector):
    cls = RarityFirst


class TestLeastUsed(DefaultSelector):
    cls = LeastUsed


class TestTopScore(DefaultSelector):
    cls = TopScore


class TestSoftmax(DefaultSelector):
    cls = Softmax


class TestUniform(DefaultSelector):
    cls = Uniform


class DefaultTerm(RewardTermContract):
    cls: type[RewardTerm]

    @pytest.fixture
    def term(self) -> RewardTerm:
        return self.cls()


class TestDiversityGap(DefaultTerm):
    cls = DiversityGap


class TestProcessPenalty(DefaultTerm):
    cls = ProcessPenalty


class TestOutcome(DefaultTerm):
    cls = Outcome


class TestUsageRarity(DefaultTerm):
    cls = UsageRarity


class TestSuccCalling(DefaultTerm):
    cls = SuccCalling


class TestContribution(DefaultTerm):
    cls = Contribution


class TestIsSolved(DefaultTerm):
    cls = IsSolved


class DefaultAlgorithm(AlgorithmContract):
    cls: type[Algorithm]

    @pytest.fixture
    def algorithm(self) -> Algorithm:
        return self.cls()


class TestSFT(DefaultAlgorithm):
    cls = SFT


class TestReplay(DefaultAlgorithm):
    cls = Replay


class TestRFT(DefaultAlgorithm):
    cls = RFT


class TestPPO(DefaultAlgorithm):
    cls = PPO


class TestSpark(DefaultAlgorithm):
    cls = Spark


class TestDPO(DefaultAlgorithm):
    cls = DPO


class TestGroup(DefaultAlgorithm):
    cls = Group


class TestStepTool(DefaultAlgorithm):
    cls = StepTool


def test_every_default_keeps_its_contract():
    tested = {name.removeprefix("Test").lower() for name in globals() if name.startswith("Test")}
    elsewhere = {"judge.contrast", "judge.replay", "judge.reward_model", "tool.mcp", "tool.toolbench"}
    # weights, files, servers: tests of their own
    entries = [entry for entry in scan().entry_points if entry.distribution == OWN_DISTRIBUTION]
    assert {entry.name.replace("_", "") for entry in entries if entry.key not in elsewhere} == tested
