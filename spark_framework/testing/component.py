"""The contract of components of all kinds."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import yaml
from pydantic import ValidationError

from ..contracts.components import Component, ComponentConfig
from ..errors import PluginError, UserError
from ..host.discovery import GROUP
from ..host.manager import Host, checked_class, import_target
from .checks import require, short, static
from .probe import HEAVY, Report, probe
from .settings import is_constant, varied


class ComponentContract:
    """Base of the contracts. Attributes are overridden in the test class if a component needs it."""

    kind: ClassVar[str]
    """Kind of the component, as in its entry point."""
    subject: ClassVar[str]
    """Name of the author's fixture."""
    may_import: ClassVar[frozenset[str]] = frozenset()
    """Heavy packages that the plugin's module may import."""
    import_limit: ClassVar[float] = 5.0
    """Seconds for importing that module. A light module takes a hundredth of that."""
    variants: ClassVar[dict[str, Any]] = {}
    """Another valid value for a setting, if none is found automatically."""
    ignored_settings: ClassVar[frozenset[str]] = frozenset()
    """Settings that change no result, such as a timeout: the fingerprint may ignore them."""
    has_entry_point: ClassVar[bool] = True
    """False for a class that is only used as `MODULE:CLASS`, or that a toolset makes."""
    time_limit: ClassVar[float] = 60.0
    """Seconds for any one call, to stop calls that hang."""

    # -- the class -----------------------------------------------------------------------------------------------------

    @static
    def test_the_class_keeps_the_contract_of_its_kind(self, spark_component: Component) -> None:
        cls = type(spark_component)
        try:
            checked_class(self.kind, cls)
        except TypeError as exc:
            raise AssertionError(str(exc)) from exc
        pattern = r"[A-Za-z0-9][\w.-]*" if self.kind == "tool" else r"[a-z][a-z0-9_]*"
        require(
            re.fullmatch(pattern, cls.name, re.ASCII),
            f"name = {cls.name!r}: use small letters, digits and underscores, as in an entry point `{self.kind}.NAME`",
        )
        require(cls.__doc__, f"{cls.__name__} has no docstring: say what it does; `plugins show` prints it to users")

    @static
    def test_an_entry_point_offers_the_class(self, spark_component: Component) -> None:
        if not self.has_entry_point:
            return
        cls, key, host = type(spark_component), f"{self.kind}.{spark_component.name}", Host()
        found: list[object] = []
        for entry in host.installed.entry_points:
            if entry.key == key:
                try:
                    found.append(host.component_class(self.kind, f"{entry.distribution}/{entry.name}").cls)
                except PluginError as exc:
                    found.append(exc)
        line = f'[project.entry-points."{GROUP}"] "{key}" = "{cls.__module__}"'
        require(
            cls in found,
            f"no entry point offers {cls.__name__} (found for {key}: {', '.join(map(str, found)) or 'none'}): write "
            f"{line} into pyproject.toml, return the class from the hook, and install again (pip install -e .)",
        )

    @static
    def test_the_class_can_be_found_by_its_name(self, spark_component: Component) -> None:
        cls = type(spark_component)
        try:
            found = import_target(f"{cls.__module__}:{cls.__qualname__}")
        except (ImportError, AttributeError) as exc:
            raise AssertionError(f"{cls.__qualname__} cannot be imported ({exc}): define it at a module's top") from exc
        require(found is cls, f"{cls.__module__}:{cls.__qualname__} is another class: give each class its own name")

    # -- settings ------------------------------------------------------------------------------------------------------

    @static
    def test_every_setting_is_described(self, spark_component: Component) -> None:
        missing = [name for name, field in spark_component.Config.model_fields.items() if not field.description]
        require(not missing, f"Config: say below {', '.join(missing)} what it means (a text in triple quotes)")

    @static
    def test_settings_survive_json_and_yaml(self, spark_component: Component) -> None:
        config, kind = spark_component.config, type(spark_component.config)
        try:
            written = yaml.safe_dump(config.model_dump(mode="json"))
            readings = {
                "JSON": kind.model_validate_json(config.model_dump_json()),
                "YAML": kind.model_validate(yaml.safe_load(written)),
                "pickle": pickle.loads(pickle.dumps(config)),
            }
        except Exception as exc:
            raise AssertionError(
                f"Config cannot be written and read again ({type(exc).__name__}: {exc}): use plain types for settings"
            ) from exc
        for form, reading in readings.items():
            require(reading == config, f"Config read from {form} is {short(reading)} and was {short(config)}")
            require(
                self._another(spark_component, reading).fingerprint() == spark_component.fingerprint(),
                f"the fingerprint changes when the settings are written as {form} and read again",
            )

    @static
    def test_unknown_settings_are_refused(self, spark_component: Component) -> None:
        kind = type(spark_component.config)
        known = spark_component.config.model_dump(mode="json")
        try:
            kind.model_validate({**known, "no_such_setting": 1})
        except ValidationError:
            return
        raise AssertionError(
            f"{kind.__qualname__} takes a setting that does not exist, so a misspelt one would be ignored: derive it "
            "from ComponentConfig and leave `extra` alone"
        )

    @static
    def test_settings_cannot_be_changed_later(self, spark_component: Component) -> None:
        config = spark_component.config
        for name in type(config).model_fields:
            try:
                setattr(config, name, getattr(config, name))
            except ValidationError:
                continue
            raise AssertionError("Config can be changed after construction: leave `frozen` alone")

    def test_every_setting_can_be_varied(self, spark_component: Component) -> None:
        for name in self._settings(spark_component):
            require(
                self._varied(spark_component.config, name) is not None,
                f"no other valid value of the setting {name} was found, so it cannot be tested: give one, "
                f"variants = {{{name!r}: VALUE}}",
            )

    # -- fingerprint ---------------------------------------------------------------------------------------------------

    @static
    def test_the_fingerprint_is_the_same_elsewhere(self, spark_component: Component) -> None:
        here, there = spark_component.fingerprint(), self._seen(spark_component).fingerprint
        require(re.fullmatch("[0-9a-f]{16}", here), f"fingerprint() is {here!r}: sixteen hex digits are needed")
        require(
            here == spark_component.fingerprint() == there,
            f"fingerprint() is {here} here and {there} in another process: leave out addresses, times, ids and the "
            "order of sets",
        )

    @static
    def test_the_fingerprint_is_not_blind_to_the_settings(self, spark_component: Component) -> None:
        others = [varied(spark_component.config, name) for name in type(spark_component.config).model_fields]
        prints = {self._print_of(spark_component, other) for other in others if other is not None}
        require(
            not prints or prints != {spark_component.fingerprint()},
            "fingerprint() is the same whatever the settings are: leave it alone, or let it cover self.config",
        )

    def test_the_fingerprint_changes_with_every_setting(self, spark_component: Component) -> None:
        config, here = spark_component.config, spark_component.fingerprint()
        for name in self._settings(spark_component):
            if (other := self._varied(config, name)) is None:
                continue
            require(
                self._print_of(spark_component, other) != here,
                f"fingerprint() does not change with the setting {name} ({short(getattr(config, name))} to "
                f"{short(getattr(other, name))}), so stored results would be mixed up: let it cover the setting, or "
                f"name it in `ignored_settings` if it changes no result",
            )

    # -- side effects --------------------------------------------------------------------------------------------------

    @static
    def test_the_module_is_light_to_import(self, spark_component: Component) -> None:
        heavy = sorted(HEAVY & set(self._seen(spark_component).imported) - self.may_import)
        require(
            not heavy,
            f"importing {type(spark_component).__module__} imports {', '.join(heavy)}: import inside the method that "
            "needs it, so that other commands do not wait",
        )
        seconds = self._seen(spark_component).seconds
        require(
            seconds <= self.import_limit,
            f"importing {type(spark_component).__module__} takes {seconds:.1f} s: load and compute in `prepare`, or at "
            "the first call",
        )

    @static
    def test_importing_the_module_has_no_side_effects(self, spark_component: Component) -> None:
        seen = self._seen(spark_component)
        require(
            not seen.disturbed,
            f"importing the module does {'; '.join(seen.disturbed)}: do it in `prepare` or at the first call",
        )
        require(
            not seen.printed, f"importing or building prints {seen.printed[:200]!r}: commands print JSON on that stream"
        )

    @static
    def test_building_it_touches_nothing(self, spark_component: Component) -> None:
        touched = self._seen(spark_component).touched
        require(
            not touched,
            f"{type(spark_component).__name__}(config) does {'; '.join(touched)}: keep __init__ cheap and do it in "
            "`prepare` or at the first call",
        )

    def test_it_can_be_prepared_and_closed_twice(self, spark_component: Component) -> None:
        fresh = self._another(spark_component)
        fresh.close()  # before anything was opened
        for doing in (fresh.prepare, fresh.prepare, fresh.close, fresh.close):
            try:
                doing()
            except UserError as exc:  # an error that only the user can fix, such as a missing key
                require("\n" not in str(exc), f"the UserError of {doing.__name__} has several lines: one is printed")
            except Exception as exc:
                raise AssertionError(
                    f"{doing.__name__} raised {type(exc).__name__}: {exc}; a second call has to be harmless, and what "
                    "the user can fix is a UserError"
                ) from exc

    # -- for the other contracts ---------------------------------------------------------------------------------------

    def _another(self, component: Component, config: ComponentConfig | None = None) -> Component:
        """A second component of the same class."""
        return type(component)(component.config if config is None else config)

    def _print_of(self, component: Component, config: ComponentConfig) -> str:
        """The fingerprint with other settings."""
        try:
            return self._another(component, config).fingerprint()
        except UserError as exc:  # the value reaches the fingerprint, and is one that this machine does not have
            return str(exc)

    @contextmanager
    def _fresh(self, component: Any) -> Iterator[Any]:
        """A second component, closed in the end. `Any`, since each contract has its own kind."""
        other = self._another(component)
        try:
            yield other
        finally:
            other.close()

    def _settings(self, component: Component) -> list[str]:
        """Those that change results; a `Literal` of one value is none that can be set."""
        fields = type(component.config).model_fields
        return [n for n in fields if n not in self.ignored_settings and not is_constant(fields[n].annotation)]

    def _varied(self, config: ComponentConfig, name: str) -> ComponentConfig | None:
        if name not in self.variants:
            return varied(config, name)
        return type(config).model_validate({**config.model_dump(mode="json"), name: self.variants[name]})

    def _seen(self, component: Component) -> Report:
        seen = probe(component)
        require(not seen.problem, seen.problem)
        return seen
