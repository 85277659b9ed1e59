"""Choices: every way to name a component, and the way back into a file."""

from __future__ import annotations

import json
import pickle
import sys

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from spark_framework.api import ComponentConfig, Judge, RewardTerm, Selector, hookimpl
from spark_framework.errors import PluginError
from spark_framework.host.component_spec import JudgeSpec, RewardSpec, SelectorSpec, ToolSpec, parse_spec
from spark_framework.host.manager import Host, using_host


class Picky(Selector):
    name = "picky"

    class Config(ComponentConfig):
        how: str = "well"

    def select(self, candidates, scores, *, threshold, usage, rng):
        return 0


class Bonus(RewardTerm):
    name = "bonus"

    class Config(ComponentConfig):
        scale: float = 1.0

    def value(self, step, trajectory):
        return self.config.scale


class Strict(Judge):
    name = "strict"

    class Config(ComponentConfig):
        model: str

    def score(self, request): ...


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=True)
    judge: JudgeSpec = "fake"
    selector: SelectorSpec = f"{__name__}:Picky"
    rewards: tuple[RewardSpec, ...] = ()
    tools: tuple[ToolSpec, ...] = ()


@pytest.fixture(autouse=True)
def _installed(fake_judge, fake_tool):
    """A host of its own for each test."""
    with using_host(Host()):
        yield


def test_a_name_is_enough():
    choice = Settings(judge="fake").judge
    assert (choice.kind, choice.name, choice.distribution, choice.version, choice.target) == (
        "judge", "fake", "spark-fake-judge", "1.0", "fake_judge",
    )  # fmt: skip
    assert choice.config.model == "small"
    assert choice.build().config is choice.config
    assert Settings().judge == choice


def test_settings_are_narrowed_by_the_components_own_config():
    choice = Settings(judge={"use": "spark-fake-judge/fake", "temperature": "1e-5"}).judge
    assert choice.config.temperature == 1e-5
    assert type(choice.config).__qualname__ == "FakeJudge.Config"


@pytest.mark.parametrize(
    ("data", "loc", "text"),
    [
        ({"judge": {"use": "fake", "modle": "x"}}, ("judge", "modle"), "unknown key; did you mean 'model'?"),
        ({"judge": {"use": "fake", "zzz": 1}}, ("judge", "zzz"), "unknown key; known: model, temperature"),
        ({"judge": {"use": "fake", "temperature": "hot"}}, ("judge", "temperature"), "valid number"),
        ({"judge": {"model": "x"}}, ("judge",), "mapping with `use: NAME`"),
        ({"judge": 5}, ("judge",), "should be the name of a judge"),
        ({"judge": Picky}, ("judge",), "not a subclass of Judge"),
        ({"judge": Strict}, ("judge", "model"), "required"),
        ({"judge": {"use": "fake", "weight": 2}}, ("judge", "weight"), "unknown key"),
        ({"rewards": [Bonus, {"use": f"{__name__}:Bonus", "weight": "inf"}]}, ("rewards", 1, "weight"), "finite"),
        ({"rewards": [{"use": f"{__name__}:Bonus", "scael": 1}]}, ("rewards", 0, "scael"), "did you mean 'scale'?"),
        ({"tools": ["shout", Picky(None)]}, ("tools", 1), "not a subclass of Tool"),
    ],
)
def test_mistakes_keep_their_path(data, loc, text):
    with pytest.raises(ValidationError) as caught:
        Settings(**data)
    (error,) = caught.value.errors()
    assert error["loc"] == loc
    assert text in error["msg"]


def test_an_unknown_component_is_a_plugin_error():
    with pytest.raises(PluginError, match="did you mean 'fake'"):
        Settings(judge="fakee")
    with pytest.raises(PluginError, match="ModuleNotFoundError"):
        Settings(judge="no_such_module:Judge")
    with pytest.raises(PluginError, match="no attribute 'Nothing'"):
        Settings(judge="fake_judge:Nothing")


def test_disabling_reaches_validation():
    with using_host(Host(["judge.fake"])), pytest.raises(PluginError, match="disabled"):
        Settings()


def test_the_way_back():
    settings = Settings(
        judge={"use": "spark-fake-judge/fake", "model": "big"},
        selector=Picky(Picky.Config(how="badly")),
        rewards=[Bonus, {"use": f"{__name__}:Bonus", "weight": 0.5, "scale": 3}],
        tools=["shout"],
    )
    text = settings.model_dump_json()
    assert json.loads(text) == {
        "judge": {"use": "spark-fake-judge/fake", "model": "big", "temperature": 0.0},
        "selector": {"use": f"{__name__}:Picky", "how": "badly"},
        "rewards": [
            {"use": f"{__name__}:Bonus", "weight": 1.0, "scale": 1.0},
            {"use": f"{__name__}:Bonus", "weight": 0.5, "scale": 3.0},
        ],
        "tools": [{"use": "shout"}],
    }
    again = Settings.model_validate_json(text)
    assert again == settings
    assert Settings.model_validate(settings.model_dump()) == settings
    assert [choice.weight for choice in again.rewards] == [1.0, 0.5]
    assert pickle.loads(pickle.dumps(again)) == settings


def test_an_instance_is_used_as_it_is():
    picky = Picky(Picky.Config(how="badly"))
    choice = Settings(selector=picky).selector
    assert choice.build() is picky
    assert Settings(selector=choice).selector is choice


def test_the_lock_names_the_code():
    choice = parse_spec("judge", "fake")
    assert choice.lock() == {
        "kind": "judge", "name": "fake", "distribution": "spark-fake-judge", "version": "1.0", "target": "fake_judge",
        "fingerprint": choice.build().fingerprint(),
    }  # fmt: skip
    direct = parse_spec("selector", Picky).lock()
    assert (direct["distribution"], direct["version"], direct["target"]) == (None, None, f"{__name__}:Picky")
    json.dumps(direct)


def test_a_built_components_plugin_takes_part_in_the_current_host(fake_distribution):
    source = """
        from spark_framework.api import Judge, hookimpl
        class Seen(Judge):
            name = "seen"
            def score(self, request): ...
        events = []
        @hookimpl
        def spark_judges(): return [Seen]
        @hookimpl
        def spark_run_started(manifest): events.append(manifest)
    """
    fake_distribution("seen", {"judge.seen": "seen_choice"}, {"seen_choice": source})
    with using_host(Host()):
        choice = parse_spec("judge", "seen")
    with using_host(Host()) as host:
        host.calls.run_started({})
        choice.build()
        choice.build()
        host.calls.run_started({"now": 1})
    assert sys.modules["seen_choice"].events == [{"now": 1}]


def test_there_is_a_json_schema():
    schema = Settings.model_json_schema()
    assert schema["properties"]["judge"]["anyOf"][0] == {"type": "string"}
    assert "weight" in schema["properties"]["rewards"]["items"]["anyOf"][1]["properties"]


def test_hookimpl_is_the_public_marker():
    assert hookimpl.project_name == "spark_framework"


def test_a_component_that_cannot_be_built_is_one_line() -> None:
    class Broken(Bonus):
        name = "broken"

        def __init__(self, config=None):
            raise OSError("no such\ndevice")

    with pytest.raises(PluginError, match=r"reward .broken. \(.*Broken\) cannot be built: OSError: no such device"):
        parse_spec("reward", Broken).build()
