"""Loading: exactly one plugin is imported, and whatever goes wrong is attributed in one line."""

from __future__ import annotations

import dataclasses
import sys

import pytest

from spark_framework.api import hookimpl
from spark_framework.errors import PluginError
from spark_framework.host.manager import Host, current_host, using_host

GOOD = """
    from spark_framework.api import Judge, Selector, hookimpl

    class Good(Judge):
        name = "good"
        def score(self, request): ...

    class Also(Selector):
        name = "also"
        def select(self, candidates, scores, *, threshold, usage, rng): return 0

    @hookimpl
    def spark_judges(): return [Good]

    @hookimpl
    def spark_selectors(): return [Also]
"""


def failure(fake_distribution, source: str, entry: str = "judge.bad", target: str = "bad") -> str:
    fake_distribution("spark-bad", {entry: target}, {"bad": source}, version="3.2")
    kind, name = entry.split(".")
    with pytest.raises(PluginError) as caught:
        Host().component_class(kind, name)
    text = str(caught.value)
    assert "\n" not in text
    for part in (repr(name), kind, "spark-bad", "3.2", f"-p no:{entry}"):
        assert part in text
    return text


def test_loads_the_one_that_was_asked_for(fake_judge, fake_tool):
    host = Host()
    loaded = host.component_class("judge", "fake")
    assert loaded.cls.__name__ == "FakeJudge"
    assert loaded.entry.distribution == "spark-fake-judge"
    assert host.component_class("judge", "spark-fake-judge/fake") is loaded
    assert "fake_tool" not in sys.modules


def test_one_module_may_hold_several_components(fake_distribution):
    fake_distribution("several", {"judge.good": "several", "selector.also": "several"}, {"several": GOOD})
    host = Host()
    assert host.component_class("judge", "good").cls.name == "good"
    assert host.component_class("selector", "also").cls.name == "also"


def test_a_target_may_be_an_object_in_a_module(fake_distribution):
    source = (
        GOOD.replace("    @hookimpl\n    def spark_judges(): return [Good]", "")
        + """
    class Plugin:
        class Inner:
            @staticmethod
            @hookimpl
            def spark_judges(): return [Good]
    """
    )
    fake_distribution("nested", {"judge.good": "nested:Plugin.Inner"}, {"nested": source})
    assert Host().component_class("judge", "good").cls.name == "good"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError"),
        ("class Panic(BaseException): pass\nraise Panic('deep')", "Panic: deep"),
        (GOOD, "returns 'good'"),
        ("x = 1", "returns nothing"),
        (GOOD.replace("spark_judges", "spark_jugdes"), "unknown hook 'spark_jugdes'; did you mean 'spark_judges'?"),
        (GOOD.replace("spark_judges()", "spark_judges(config)"), "config"),
        (GOOD.replace("return [Good]", "return 7"), "TypeError"),
        (GOOD.replace("return [Good]", "return [Also]").replace('"also"', '"bad"'), "not a subclass of Judge"),
        (GOOD.replace('"good"', '"bad"').replace("def score", "def scroe"), "has to implement score"),
        (GOOD.replace('"good"', '"bad"').replace("[Good]", "[Good, Good]"), "returns 'bad', 'bad'"),
        (GOOD.replace('"good"', '"bad"\n        Config = dict'), "Config has to be a subclass of ComponentConfig"),
    ],
)
def test_a_broken_plugin_is_named(fake_distribution, source, cause):
    assert cause in failure(fake_distribution, source)


def test_a_tool_without_description_is_named(fake_distribution):
    source = """
        from spark_framework.api import Tool, ToolArgs, hookimpl
        class Bad(Tool):
            name = "bad"
            Args = ToolArgs
            def call(self, args, context): return ""
        @hookimpl
        def spark_tools(): return [Bad]
    """
    assert "Bad has to set description" in failure(fake_distribution, source, "tool.bad")


def test_a_missing_attribute_is_named(fake_distribution):
    assert "'Plugin'" in failure(fake_distribution, GOOD, target="bad:Plugin")


def test_an_interrupt_stays_an_interrupt(fake_distribution):
    fake_distribution("slow", {"judge.slow": "slow"}, {"slow": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        Host().component_class("judge", "slow")


def test_a_broken_plugin_harms_only_those_who_select_it(fake_distribution, fake_judge):
    fake_distribution("spark-bad", {"judge.bad": "bad"}, {"bad": GOOD.replace("spark_judges", "spark_jugdes")})
    host = Host()
    with pytest.raises(PluginError):
        host.component_class("judge", "bad")
    assert host.component_class("judge", "fake").cls.name == "fake"


def test_disabled_plugins_are_not_imported(fake_judge):
    with pytest.raises(PluginError, match="disabled"):
        Host(["judge.fake"]).component_class("judge", "fake")
    assert "fake_judge" not in sys.modules


class Observer:
    def __init__(self):
        self.seen = []

    @hookimpl
    def spark_run_started(self, manifest):
        self.seen.append(manifest)


def test_observers_can_be_registered_twice_without_harm():
    host, observer = Host(), Observer()
    host.register(observer)
    host.register(observer)
    host.calls.run_started({"run": 1})
    assert observer.seen == [{"run": 1}]


class Misspelt:
    @hookimpl
    def spark_run_startet(self, manifest): ...


class WrongArgument:
    @hookimpl
    def spark_run_started(self, run): ...


@dataclasses.dataclass
class Unhashable(Observer):
    seen: list = dataclasses.field(default_factory=list)


@pytest.mark.parametrize(
    ("plugin", "cause"),
    [
        (Misspelt(), "unknown hook 'spark_run_startet'; did you mean 'spark_run_started'?"),
        (WrongArgument(), "run"),
        (Observer, "pass an instance, Observer()"),
        (object(), "no method marked with @hookimpl"),
        (Unhashable(), "eq=False"),
        (None, "hashable object"),
    ],
)
def test_a_wrong_observer_is_refused(plugin, cause):
    with pytest.raises(PluginError) as caught:
        Host().register(plugin)
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_current_host_is_a_matter_of_context():
    default = current_host()
    assert current_host() is default
    with using_host(Host()) as host:
        assert current_host() is host
    assert current_host() is default
