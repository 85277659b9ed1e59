"""Config files: what is read, what is overridden, and how mistakes are told."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spark_framework.config.load import check_config, load_config
from spark_framework.errors import ConfigError, PluginError
from spark_framework.host.component_spec import JudgeSpec
from spark_framework.host.manager import Host, using_host


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Local(Strict):
    use: Literal["local"]
    path: str = "here"


class Server(Strict):
    use: Literal["server"]
    url: str


class Stage(Strict):
    lr: float = 1e-4
    epochs: int | Literal["all"] = 1


class Config(Strict):
    name: str = "x"
    rate: float = 0.1
    rounds: tuple[Stage, ...] = ()
    stages: dict[str, Stage] = {}
    policy: Annotated[Local | Server, Field(discriminator="use")] = Local(use="local")
    judge: JudgeSpec | None = None
    plugins: dict[str, list[str]] = {}
    critic: JudgeSpec = Field(default="fake", validate_default=True)

    @model_validator(mode="after")
    def _name_fits(self):
        if self.name == "bad":
            raise ValueError("the name may not be bad")
        if self.name == "worse":
            raise ConfigError("name: that is worse")
        return self


@pytest.fixture
def load(tmp_path, fake_judge):
    def load(text: str, *overrides: str) -> Config:
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return load_config(path, Config, list(overrides))

    with using_host(Host()):
        yield load


@pytest.fixture
def complaint(load):
    def complaint(text: str, *overrides: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(text, *overrides)
        told = str(caught.value)
        assert "\n" not in told
        return told

    return complaint


def test_numbers_that_yaml_takes_for_text(load):
    assert load("rate: 1e-5").rate == 1e-5
    assert load("", "rate=1e-5").rate == 1e-5


def test_an_empty_file_is_all_defaults(load):
    assert load("# nothing\n") == Config()


def test_overrides(load):
    text = "rounds: [{lr: 1}, {lr: 2}]\njudge: fake\nstages:\n"
    config = load(
        text, "rounds.1.lr=3", "judge.model=big=er", "stages.sft.epochs=all", "name=a", "name='012'", "policy.use=local"
    )
    assert [r.lr for r in config.rounds] == [1, 3]
    assert config.judge.config.model == "big=er"
    assert config.judge.name == "fake"
    assert config.stages == {"sft": Stage(epochs="all")}
    assert config.name == "012"
    assert load("", "critic.model=big").critic.config.model == "big"


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("rate", "write path.to.key=value"),
        ("=1", "write path.to.key=value"),
        ("a..b=1", "write path.to.key=value"),
        ("rounds.2.lr=1", "rounds is a list of 2, numbered from 0; there is no entry '2'"),
        ("rounds.x.lr=1", "there is no entry 'x'"),
        ("rate.x=1", "rate is 0.5, which has no keys"),
        ("rate=[1", "--set rate=[1"),
    ],
)
def test_wrong_overrides(complaint, override, text):
    assert text in complaint("rate: 0.5\nrounds: [{lr: 1}, {lr: 2}]", override)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nmae: y", "nmae: unknown key; did you mean 'name'?"),
        ("qqq: y", "qqq: unknown key; known: critic, judge, name, plugins"),
        ("rate: fast", "rate: should be a valid number, unable to parse string as a number (got 'fast')"),
        ("rounds: [{lr: 1}, {lrr: 1}]", "rounds.1.lrr: unknown key; did you mean 'lr'?"),
        ("stages: {sft: {epoch: 1}}", "stages.sft.epoch: unknown key; did you mean 'epochs'?"),
        (
            "rounds: [{epochs: x}]",
            "rounds.0.epochs: should be a valid integer, unable to parse string as an integer (got 'x') "
            "or should be 'all' (got 'x')",
        ),
        ("policy: {use: local, pth: x}", "policy.pth: unknown key; did you mean 'path'?"),
        ("policy: {use: local, urll: x}", "policy.urll: unknown key; known: path, use"),
        ("policy: {use: server}", "policy.url: is missing; add it to the file or pass --set policy.url=VALUE"),
        ("policy: {use: server, ulr: x}", "policy.ulr: unknown key; did you mean 'url'? (also wrong: policy.url)"),
        ("judge: {use: fake, modle: x}", "judge.modle: unknown key; did you mean 'model'?"),
        ("judge: {model: x}", "judge: should be the name of a judge, or a mapping with `use: NAME`"),
        ("name: bad", "the file: the name may not be bad"),
        ("name: worse", "name: that is worse"),
        ("rounds: many", "rounds: should be a list (got 'many')"),
        ("stages: {sft: 1}", "stages.sft: should be a mapping (got 1)"),
        ("stages: [1]", "stages: should be a mapping"),
        ("name: [a]", "name: should be a valid string"),
    ],
)
def test_mistakes_begin_with_the_path_that_was_typed(complaint, text, told):
    assert complaint(text).startswith(told)
    assert complaint(text).endswith("run.yaml]")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "run.yaml, line 4: key 'c' is given twice"),
        ("a: [1,\nb: 2\n", "run.yaml, line 3: expected ',' or ']'"),
        ("a: \x00", "run.yaml: special characters are not allowed"),
        ("- 1\n", "should hold a mapping"),
        ("just text", "should hold a mapping"),
        ("!!python/object:os.system {}", "line 1: could not determine a constructor"),
    ],
)
def test_files_that_are_not_right(complaint, text, told):
    assert told in complaint(text)


def test_merged_keys_are_not_duplicates(load):
    config = load("stages:\n  a: &a {lr: 1, epochs: 2}\n  b: {<<: *a, lr: 3}\n")
    assert config.stages["b"] == Stage(lr=3, epochs=2)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml", Config)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, Config)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path / "latin.yaml", Config)


def test_the_file_itself_can_disable_plugins(load):
    assert load("judge: fake\nplugins: {disable: [tool.shout]}").judge.name == "fake"
    with pytest.raises(PluginError, match=r"judge 'fake' of spark-fake-judge 1\.0 .* is disabled"):
        load("judge: fake\nplugins: {disable: [judge.fake]}")
    with pytest.raises(PluginError, match="is disabled"):
        load("judge: fake", "plugins.disable=[spark-fake-judge/judge.fake]")


def test_data_from_elsewhere_are_checked_in_the_same_way(load):
    config = load("judge: {use: fake, model: big}")
    assert check_config(config.model_dump(mode="json"), Config, "run.json") == config
    with pytest.raises(ConfigError, match=r"nmae: unknown key; did you mean 'name'\? \[run\.json\]"):
        check_config({"nmae": 1}, Config, "run.json")
