"""What holds for components of all kinds: every bad one is found by the check that is there for it."""

from __future__ import annotations

from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ConfigDict, Field, SecretStr

from spark_framework.api import ComponentConfig, RewardTerm, Step, Trajectory, UserError
from spark_framework.testing import ComponentContract, sample_step, sample_trajectory
from tests.testing.failing import ELSEWHERE, Faults, assert_found, checks_of, failures

FAULTS = Faults()


class TermContract(ComponentContract):
    kind = "reward"
    subject = "term"


class Steady(RewardTerm):
    """The same for every step."""

    name = "steady"

    class Config(ComponentConfig):
        height: float = 1.0
        """The value."""
        label: str = "steady"
        """What it is called in plots."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        return float(self.config.height)


# -- the class -----------------------------------------------------------------------------------------------------


@FAULTS.found_by("the_class_keeps_the_contract_of_its_kind", says="use small letters, digits and underscores")
class Named(Steady):
    """The same for every step."""

    name = "Steady Value"


@FAULTS.found_by("the_class_keeps_the_contract_of_its_kind", says="Undocumented has no docstring")
class Undocumented(Steady):
    name = "undocumented"


@FAULTS.found_by("the_class_keeps_the_contract_of_its_kind", says="is not a subclass of Judge", kind="judge")
class Misplaced(Steady):
    """The same for every step."""


@FAULTS.found_by("the_class_can_be_found_by_its_name", says=":Double is another class")
class Double(Steady):
    """The same for every step."""


class Double(Double):  # type: ignore[no-redef]
    """The same for every step."""


# -- settings ------------------------------------------------------------------------------------------------------


@FAULTS.found_by("every_setting_is_described", says="say below size what it means")
class Undescribed(Steady):
    """The same for every step."""

    class Config(Steady.Config):
        size: int = 1


@FAULTS.found_by("settings_survive_json_and_yaml", says="Config read from JSON is")
class TakesTuples(Steady):
    """The same for every step."""

    class Config(Steady.Config):
        size: Any = (1, 2)
        """Whatever it is, JSON has no tuples."""


@FAULTS.found_by(
    "settings_survive_json_and_yaml", "the_fingerprint_changes_with_every_setting", says="read from JSON is"
)
class Secretive(Steady):
    """The same for every step."""

    class Config(Steady.Config):
        key: SecretStr = SecretStr("abc")
        """A key, which is written as stars."""


@FAULTS.found_by("unknown_settings_are_refused", says="leave `extra` alone")
class TakesAnything(Steady):
    """The same for every step."""

    class Config(Steady.Config):
        model_config = ConfigDict(extra="ignore")


@FAULTS.found_by("settings_cannot_be_changed_later", says="leave `frozen` alone")
class Thaws(Steady):
    """The same for every step."""

    class Config(Steady.Config):
        model_config = ConfigDict(frozen=False)


@FAULTS.found_by("every_setting_can_be_varied", says="variants = {'code': VALUE}")
class Picky(Steady):
    """The same for every step."""

    class Config(Steady.Config):
        code: str = Field(default="K-17", pattern=r"^[A-Z]-\d\d$")
        """A code of letter and number."""


# -- fingerprint ---------------------------------------------------------------------------------------------------


@FAULTS.found_by("the_fingerprint_is_the_same_elsewhere", says="in another process")
class Hashes(Steady):
    """The same for every step."""

    def fingerprint(self) -> str:
        return f"{hash(self.config.model_dump_json()) & (2**64 - 1):016x}"


@FAULTS.found_by("the_fingerprint_is_the_same_elsewhere", says="sixteen hex digits are needed")
class Words(Steady):
    """The same for every step."""

    def fingerprint(self) -> str:
        return f"steady {self.config}"


@FAULTS.found_by(
    "the_fingerprint_is_not_blind_to_the_settings",
    "the_fingerprint_changes_with_every_setting",
    says="is the same whatever the settings are",
)
class Constant(Steady):
    """The same for every step."""

    def fingerprint(self) -> str:
        return "0123456789abcdef"


@FAULTS.found_by("the_fingerprint_changes_with_every_setting", says="does not change with the setting height")
class Forgets(Steady):
    """The same for every step."""

    def fingerprint(self) -> str:
        other = type(self)(self.config.model_copy(update={"height": 0.0}))
        return super(Forgets, other).fingerprint()


# -- manners -------------------------------------------------------------------------------------------------------


@FAULTS.found_by("building_it_touches_nothing", says="Reads(config) does open ")
class Reads(Steady):
    """The same for every step."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self.text = Path(__file__).read_text(encoding="utf-8")


@FAULTS.found_by("building_it_touches_nothing", says="socket.getaddrinfo")
class Calls(Steady):
    """The same for every step."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        import socket

        super().__init__(config)
        self.host = socket.getaddrinfo("localhost", 80)


@FAULTS.found_by("building_it_touches_nothing", says="starts a thread")
class Spawns(Steady):
    """The same for every step."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        import threading
        import time

        super().__init__(config)
        threading.Thread(target=time.sleep, args=(5,), daemon=True).start()


@FAULTS.found_by("importing_the_module_has_no_side_effects", says="importing or building prints 'hello")
class Greets(Steady):
    """The same for every step."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        print("hello")


@FAULTS.found_by("it_can_be_prepared_and_closed_twice", says="close raised ValueError: closed already")
class ClosesOnce(Steady):
    """The same for every step."""

    open = True

    def prepare(self) -> None:
        self.open = True

    def close(self) -> None:
        if not self.open:
            raise ValueError("closed already")
        self.open = False


@FAULTS.found_by("it_can_be_prepared_and_closed_twice", says="has several lines")
class Complains(Steady):
    """The same for every step."""

    def prepare(self) -> None:
        raise UserError("the key is missing\nset it")


@FAULTS.each()
def test_a_bad_component_is_found(fault):
    assert_found(fault, TermContract, elsewhere=True)


# -- its module ----------------------------------------------------------------------------------------------------

MODULE = """
    {first}
    from spark_framework.api import RewardTerm, hookimpl
    class Steady(RewardTerm):
        "The same for every step."
        name = "steady"
        def value(self, step, trajectory): return 0.0
    @hookimpl
    def spark_reward_terms(): return [Steady]
"""


@pytest.fixture
def component(fake_distribution, request):
    """A component of a module that begins with the lines of the parameter."""
    name = f"steady_{abs(hash(request.node.name))}"  # what a probe has seen is remembered by the module's name
    source = MODULE.format(first=request.param.replace("\n", "\n    "))
    fake_distribution("spark-steady", {"reward.steady": name}, {name: source})
    return lambda: import_module(name).Steady()


@pytest.mark.parametrize(
    ("component", "check", "says"),
    [
        ("import mpmath", "the_module_is_light_to_import", "imports mpmath: import inside the method"),
        ("import time; time.sleep(0.3)", "the_module_is_light_to_import", "takes 0."),
        ("print('hello')", "importing_the_module_has_no_side_effects", "prints 'hello'"),
        ("import threading, time; threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
         "importing_the_module_has_no_side_effects", "starts a thread"),
        ("import subprocess, sys; subprocess.run([sys.executable, '-c', ''])",
         "importing_the_module_has_no_side_effects", "subprocess.Popen"),
        ("import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.close()",
         "importing_the_module_has_no_side_effects", "socket.bind"),
        ("open('/dev/null', 'w').close()", "importing_the_module_has_no_side_effects", "open /dev/null"),
        ("", None, ""),
    ],
    indirect=["component"],
)  # fmt: skip
def test_a_module_without_manners_is_found(component, check, says):
    limit = 0.2 if check == "the_module_is_light_to_import" else 5.0
    found = failures(TermContract, component(), elsewhere=True, has_entry_point=True, import_limit=limit)
    assert found.keys() == ({check} if check else set())
    assert says in found.get(check, "")


@pytest.mark.parametrize(
    ("component", "problem"),
    [
        ("import sys; 'pytest' in sys.modules or sys.exit(3)", "ended its process (exit code 3)"),
        ("import os, sys; 'pytest' in sys.modules or os._exit(7)", "ended its process (exit code 7)"),
        ("import os, sys; 'pytest' in sys.modules or os.abort()", "ended its process (SIGABRT)"),
        ("import sys\nif 'pytest' not in sys.modules: raise OSError('only here')", "OSError: only here"),
    ],
    indirect=["component"],
)
def test_a_module_that_cannot_be_imported_elsewhere_is_found(component, problem):
    found = failures(TermContract, component(), elsewhere=True, has_entry_point=True)
    assert set(found) == ELSEWHERE
    assert all(problem in text for text in found.values())


@pytest.mark.parametrize("component", [""], indirect=True)
def test_a_component_without_an_entry_point_is_found(component, fake_distribution):
    cls = type(component())
    fake_distribution("spark-steady", {"reward.other": cls.__module__})
    found = failures(TermContract, cls(), has_entry_point=True)
    assert "no entry point offers Steady (found for reward.steady: none)" in found["an_entry_point_offers_the_class"]
    assert len(found) == 1


# -- the checks themselves -----------------------------------------------------------------------------------------


class TestSteady(TermContract):
    has_entry_point = False

    @pytest.fixture
    def term(self) -> RewardTerm:
        return Steady()


def test_every_check_has_found_a_fault_alone():
    others = {
        "an_entry_point_offers_the_class", "the_module_is_light_to_import",  # above, with modules of their own
        "the_fingerprint_is_not_blind_to_the_settings",  # whoever is blind to all of them is blind to each
    }  # fmt: skip
    assert FAULTS.checks() == set(checks_of(ComponentContract)) - others


def test_a_variant_and_an_ignored_setting_are_honoured():
    assert failures(TermContract, Picky(), variants={"code": "L-18"}) == {}
    assert failures(TermContract, Forgets(), ignored_settings=frozenset({"height"})) == {}


def test_a_class_inside_of_a_function_is_found():
    class Local(Steady):
        """The same for every step."""

    found = failures(TermContract, Local())
    assert "define it at a module's top" in found["the_class_can_be_found_by_its_name"]


def test_settings_of_many_types_are_varied():
    class Many(Steady):
        class Config(Steady.Config):
            amount: Decimal = Decimal("1.5")
            """A."""
            path: Path | None = None
            """B."""
            table: dict[str, float] = Field(default={"a": 1.0}, max_length=1)
            """C."""
            flag: bool = True
            """D."""
            names: tuple[str, ...] = ()
            """E."""

    assert "every_setting_can_be_varied" not in failures(TermContract, Many())


def test_the_sample_trajectory_is_a_good_one():
    trajectory = sample_trajectory(sample_step())
    assert [Steady().value(step, trajectory) for step in trajectory.steps] == [1.0, 1.0]


def test_a_setting_with_one_value_needs_no_other():
    class Fixed(Steady):
        class Config(Steady.Config):
            mode: Literal["only"] = "only"
            """There is no other."""
            width: Literal["4bit"] | None = None
            """There is one."""

    assert "every_setting_can_be_varied" not in failures(TermContract, Fixed())
