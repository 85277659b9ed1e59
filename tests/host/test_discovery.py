"""Listing: what is found, in which state, and that nothing is imported for it."""

from __future__ import annotations

import sys

import pytest

from spark_framework.errors import ConfigError, PluginError
from spark_framework.host.discovery import EntryPoint, scan

BOMB = {"bomb": "raise RuntimeError('imported')"}


def of(distribution: str, **kwargs) -> list[EntryPoint]:
    return [entry for entry in scan(**kwargs).entry_points if entry.distribution == distribution]


def test_listing_imports_nothing(fake_distribution):
    fake_distribution("Spark_Bomb", {"judge.bomb": "bomb", "tool.bomb": "bomb:thing"}, BOMB, version="2.1")
    assert of("spark-bomb") == [
        EntryPoint("judge", "bomb", "bomb", "spark-bomb", "2.1", "ready"),
        EntryPoint("tool", "bomb", "bomb:thing", "spark-bomb", "2.1", "ready"),
    ]
    assert scan().reader == "entrypoints"
    assert "bomb" not in sys.modules


def test_entry_points_are_sorted_whatever_the_path_order(fake_distribution):
    for name in ("zz", "aa", "mm"):
        fake_distribution(f"dist-{name}", {f"tool.{name}": "bomb", f"judge.{name}": "bomb"})
    keys = [entry.key for entry in scan().entry_points]
    assert keys == sorted(keys)


@pytest.mark.parametrize("name", ["judge.bomb", "spark-bomb/judge.bomb", "Spark_Bomb/judge.bomb"])
def test_disabling_by_argument_and_by_environment(fake_distribution, monkeypatch, name):
    fake_distribution("spark-bomb", {"judge.bomb": "bomb", "tool.bomb": "bomb"}, BOMB)
    assert [o.state for o in of("spark-bomb", disable=[name])] == ["disabled", "ready"]
    monkeypatch.setenv("SPARK_DISABLE_PLUGINS", f",{name},")
    assert [o.state for o in of("spark-bomb")] == ["disabled", "ready"]
    with pytest.raises(PluginError, match="is disabled"):
        scan().find("judge", "bomb")


def test_an_empty_variable_disables_nothing(fake_judge, monkeypatch):
    monkeypatch.setenv("SPARK_DISABLE_PLUGINS", "")
    assert [o.state for o in of("spark-fake-judge")] == ["ready"]


def test_disabling_in_another_distribution_does_not_count(fake_judge):
    assert [o.state for o in of("spark-fake-judge", disable=["other/judge.fake"])] == ["ready"]


def test_autoload_off_disables_all(fake_judge, monkeypatch):
    monkeypatch.setenv("SPARK_PLUGIN_AUTOLOAD", "0")
    assert {entry.state for entry in scan().entry_points} == {"disabled"}
    with pytest.raises(PluginError, match="unset SPARK_PLUGIN_AUTOLOAD"):
        scan().find("judge", "fake")


@pytest.mark.parametrize("name", ["gpt4o", "jugde.gpt4o", "judge.", "dist/gpt4o"])
def test_a_disabled_name_that_matches_no_component_is_an_error(name):
    with pytest.raises(ConfigError, match=r"kind\.name or distribution/kind\.name"):
        scan([name])


def test_a_conflict_has_no_winner(fake_distribution):
    fake_distribution("first", {"judge.same": "a"})
    fake_distribution("second", {"judge.same": "b"})
    assert [(o.distribution, o.state) for o in scan().entry_points if o.name == "same"] == [
        ("first", "conflict"),
        ("second", "conflict"),
    ]
    with pytest.raises(PluginError, match=r"first 1\.0 and second 1\.0.*first/same.*-p no:second/judge\.same"):
        scan().find("judge", "same")
    assert scan().find("judge", "second/same").target == "b"
    assert scan(["second/judge.same"]).find("judge", "same").target == "a"


def test_one_distribution_found_twice_does_not_conflict(fake_distribution):
    fake_distribution("my-judges", {"judge.mine": "old"}, version="1.0")
    fake_distribution("My.Judges", {"judge.mine": "new"}, version="1.0")  # earlier on the path
    assert [(o.target, o.state) for o in of("my-judges")] == [("new", "ready")]


def test_leftover_metadata_in_one_folder_lose_to_the_higher_version(fake_distribution):
    folder = fake_distribution("my-judges", {"judge.mine": "nine"}, version="0.9.0")
    info = folder / "my_judges-0.10.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[spark_framework.v1]\njudge.mine = ten\n")
    assert [(o.target, o.version, o.state) for o in of("my-judges")] == [("ten", "0.10.0", "ready")]


def test_egg_info_of_a_checkout(fake_distribution):
    folder = fake_distribution("other", {})
    info = folder / "my_judges.egg-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[spark_framework.v1]\njudge.mine = mine : thing [extra]\n")
    assert of("my-judges") == [EntryPoint("judge", "mine", "mine:thing", "my-judges", "unknown")]


@pytest.mark.parametrize("text", ["no header = here\n", "[a]\nx = 1\nx = 2\n", "\ufeff[a]\nx = y\n"])
def test_a_malformed_foreign_file_does_not_affect_others(fake_distribution, fake_judge, text):
    before = scan().entry_points
    fake_distribution("foreign", text)
    installed = scan()
    assert installed.reader == "importlib.metadata"
    assert "entry_points.txt" in installed.problem
    assert "\n" not in installed.problem
    assert installed.entry_points == before


def test_an_undecodable_foreign_file_does_not_affect_others(fake_distribution, fake_judge):
    before = scan().entry_points
    folder = fake_distribution("foreign", {})
    (folder / "foreign-1.0.dist-info" / "entry_points.txt").write_bytes(b"[a]\nx = \xff\xfe\n")
    installed = scan()
    assert installed.reader == "importlib.metadata"
    assert installed.entry_points == before


def test_another_api_version_is_incompatible(fake_distribution):
    fake_distribution("future", {"judge.next": "bomb"}, BOMB, group="spark_framework.v2")
    fake_distribution("foreign", {"judge.none": "bomb"}, BOMB, group="spark_framework.version")
    assert [(o.key, o.state, o.api) for o in of("future")] == [("judge.next", "incompatible", 2)]
    assert of("foreign") == []
    with pytest.raises(PluginError, match="API v2, but this is v1"):
        scan().find("judge", "next")


def test_a_plugin_for_two_api_versions_is_one_offer(fake_distribution):
    fake_distribution("both", "[spark_framework.v1]\njudge.both = one\n[spark_framework.v2]\njudge.both = two\n")
    assert [(o.target, o.state) for o in of("both")] == [("one", "ready")]


def test_an_unknown_kind_is_incompatible(fake_distribution):
    fake_distribution("odd", {"policy.odd": "bomb"})
    assert [(o.kind, o.state) for o in of("odd")] == [("policy", "incompatible")]


def test_an_unknown_name_lists_the_known_ones(fake_judge):
    with pytest.raises(PluginError, match=r"no judge 'fakr' \(installed: .*fake.*\); did you mean 'fake'\?"):
        scan().find("judge", "fakr")


def test_a_checkout_that_is_not_installed_is_reported(monkeypatch, tmp_path):
    scan()  # imports the package `entrypoints` while it can be found
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert scan().entry_points == ()
    with pytest.raises(PluginError, match=r"pip install -e \."):
        scan().find("judge", "gpt4o")
