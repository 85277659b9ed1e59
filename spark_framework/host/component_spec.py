"""What a config holds for a component: which one, its own settings, and where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, FiniteFloat, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from ..contracts.components import Component, ComponentConfig
from ..errors import PluginError
from .discovery import did_you_mean, one_line
from .manager import checked_class, current_host, import_target

Model = TypeVar("Model", bound=BaseModel)
UNKNOWN_KEY = "unknown_key"
"""Type of the validation errors that `validate_with_suggestions` raises for unknown keys."""


@dataclass(frozen=True)
class ComponentSpec:
    """A component as chosen in a config: the class is loaded, the settings are checked, nothing is built yet."""

    kind: str
    use: str
    """As it is written: `name`, `distribution/name`, or `module:Class` for a class without an entry point."""
    config: ComponentConfig
    cls: type[Component]
    target: str
    distribution: str | None = None
    """None for a class without an entry point."""
    version: str | None = None
    weight: float = 1.0
    """Factor of a reward term; 1 for the other kinds."""
    instance: Component | None = field(default=None, compare=False, repr=False)
    """What the Python API was given, where it was given an instance."""

    @property
    def name(self) -> str:
        """The component's own name."""
        return self.cls.name

    def build(self) -> Component:
        """The component, ready for use; its plugin's other hooks take part in the current host from now on."""
        if self.distribution is not None:
            current_host().register_loaded(self.target)  # the config may have been read under another host
        if self.instance is not None:
            return self.instance
        try:
            return self.cls(self.config)
        except Exception as exc:
            where = f" of {self.distribution} {self.version}" if self.distribution else ""
            reason = f"{type(exc).__name__}: {one_line(exc)}"
            raise PluginError(f"{self.kind} {self.name!r}{where} ({self.target}) cannot be built: {reason}") from exc

    def lock(self) -> dict[str, Any]:
        """What `run.json` keeps, so that a run says which code it was made with."""
        return {
            "kind": self.kind,
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "target": self.target,
            "fingerprint": self.build().fingerprint(),
        }


def choose(kind: str, value: Any) -> ComponentSpec:
    """Read a choice from a name, a mapping `{use: name, ...settings}`, a component class or an instance.

    Raises:
        PluginError: there is no such component, or it is broken.
        pydantic.ValidationError: the settings do not fit the component's Config.
    """
    if isinstance(value, ComponentSpec) and value.kind == kind:
        return value
    if isinstance(value, Component):
        return _direct(kind, type(value), value.config, instance=value)
    if isinstance(value, type):
        return _direct(kind, value, {})
    key = key_of(kind)
    settings = {key: value} if isinstance(value, str) else value
    if not (isinstance(settings, Mapping) and isinstance(settings.get(key), str)):
        raise PydanticCustomError("component", f"should be the name of a {kind}, or a mapping with `{key}: NAME`")
    settings = dict(settings)
    use = settings.pop(key)
    weight = _Weight.model_validate({"weight": settings.pop("weight", 1.0)}).weight if kind == "reward" else 1.0
    if ":" in use:
        return _direct(kind, _import_class(kind, use), settings, weight=weight)
    loaded = current_host().component_class(kind, use)
    entry = loaded.entry
    config = validate_with_suggestions(loaded.cls.Config, settings)
    return ComponentSpec(kind, use, config, loaded.cls, entry.target, entry.distribution, entry.version, weight)


def key_of(kind: str) -> str:
    """The key that names a component: `kind` in a stage, `use` elsewhere."""
    return "kind" if kind == "algorithm" else "use"


def _direct(
    kind: str, cls: type, settings: Any, *, weight: float = 1.0, instance: Component | None = None
) -> ComponentSpec:
    try:
        component = checked_class(kind, cls)
    except TypeError as exc:
        raise PydanticCustomError("component", "{reason}", {"reason": one_line(exc)}) from exc
    config = (
        settings if isinstance(settings, ComponentConfig) else validate_with_suggestions(component.Config, settings)
    )
    target = f"{cls.__module__}:{cls.__qualname__}"
    return ComponentSpec(kind, target, config, component, target, weight=weight, instance=instance)


def _import_class(kind: str, use: str) -> Any:
    try:
        return import_target(use)
    except Exception as exc:
        raise PluginError(f"{kind} {use!r} cannot be imported: {type(exc).__name__}: {one_line(exc)}") from exc


class _Weight(BaseModel):
    weight: FiniteFloat


@dataclass(frozen=True)
class _SpecField:
    """Makes `ComponentSpec` a pydantic field type for one kind."""

    kind: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: choose(self.kind, value),
            serialization=core_schema.plain_serializer_function_ser_schema(_as_written, info_arg=True),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        key = key_of(self.kind)
        properties: dict[str, Any] = {key: {"type": "string"}}
        if self.kind == "reward":
            properties["weight"] = {"type": "number", "default": 1.0}
        text = f"Name of a {self.kind}, or `{key}` and its settings"
        forms = [{"type": "object", "properties": properties, "required": [key]}]
        if self.kind == "algorithm":  # a stage is all settings: say which belong to what
            forms = list(_settings_by_name(self.kind, handler)) or forms
        return {"description": text, "anyOf": [{"type": "string"}, *forms]}


def _settings_by_name(kind: str, handler: GetJsonSchemaHandler) -> Iterator[dict[str, Any]]:
    """The schema of each installed component's settings, with the key that names it; broken plugins are left out."""
    host = current_host()
    for entry in host.installed.entry_points:
        if entry.kind != kind:
            continue
        try:
            config = host.component_class(kind, f"{entry.distribution}/{entry.name}").cls.Config
        except PluginError:
            continue
        schema = handler.resolve_ref_schema(handler(config.__pydantic_core_schema__))
        named = {key_of(kind): {"const": entry.name}, **schema.get("properties", {})}
        yield {**schema, "title": entry.name, "properties": named}


def _as_written(choice: ComponentSpec, info: core_schema.SerializationInfo) -> dict[str, Any]:
    weight = {"weight": choice.weight} if choice.kind == "reward" else {}
    return {key_of(choice.kind): choice.use, **weight, **choice.config.model_dump(mode=info.mode)}


AlgorithmSpec = Annotated[ComponentSpec, _SpecField("algorithm")]
JudgeSpec = Annotated[ComponentSpec, _SpecField("judge")]
RewardSpec = Annotated[ComponentSpec, _SpecField("reward")]
SelectorSpec = Annotated[ComponentSpec, _SpecField("selector")]
ToolSpec = Annotated[ComponentSpec, _SpecField("tool")]


# -- unknown keys --------------------------------------------------------------------------------------------------


def validate_with_suggestions(model: type[Model], data: Any) -> Model:
    """Validate, and say of every unknown key which key may have been meant.

    Raises:
        pydantic.ValidationError: the data do not fit the model.
    """
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        details = []
        for error in exc.errors(include_url=False):
            kind, text = error["type"], error["msg"]
            if kind == "extra_forbidden":
                kind, text = UNKNOWN_KEY, _unknown_key(model, error["loc"])
            details.append(
                InitErrorDetails(type=PydanticCustomError(kind, text), loc=error["loc"], input=error["input"])
            )
        raise ValidationError.from_exception_data(exc.title, details) from None


def _unknown_key(model: type[BaseModel], path: tuple[int | str, ...]) -> str:
    models = [model]
    for part in path[:-1]:
        inner = [m for parent in models if part in parent.model_fields for m in _models_in(parent, str(part))]
        tagged = [m for m in models if any(part in get_args(f.annotation) for f in m.model_fields.values())]
        models = inner or tagged or models
    known = sorted({name for m in models for name in m.model_fields})
    key = str(path[-1])
    return f"unknown key{did_you_mean(key, known) or '; known: ' + (', '.join(known) or 'none')}"


def _models_in(parent: type[BaseModel], field_name: str) -> list[type[BaseModel]]:
    """The models that a field's type mentions."""
    found, types = [], [parent.model_fields[field_name].annotation]
    while types:
        annotation = types.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
        types.extend(get_args(annotation))
    return found
