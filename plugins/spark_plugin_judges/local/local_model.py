"""Judges whose model runs on this machine. Judges share weights, which are identified by their content."""

from __future__ import annotations

import hashlib
import json
import threading
import weakref
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from spark_framework.api import (
    ApiReply,
    ApiRequest,
    CalibratedJudge,
    ComponentConfig,
    ConfigError,
    JudgeRequest,
    model_folder,
)

TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.model",
                   "chat_template*")  # fmt: skip


class LocalModel:
    """One model's files and, from its first use on, its weights.

    Args:
        auto_class: the class of transformers that loads it.
        device: None takes a GPU where there is one.
    """

    def __init__(self, folder: Path, auto_class: str, dtype: str, device: str | None) -> None:
        self.folder, self.auto_class, self.dtype, self.device = folder, auto_class, dtype, device
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    @cached_property
    def identity(self) -> dict[str, str]:
        """All that its values depend on: digests of weights and tokenizer, number format, version of transformers."""
        return {
            "weights": self.weights,
            "tokenizer": _digest(_files(self.folder, TOKENIZER_FILES)),
            "dtype": self.dtype,
            "transformers": version("transformers"),
        }

    @cached_property
    def weights(self) -> str:
        """64 hex digits over the weights and the model's config, without the version that wrote it."""
        tensors = _files(self.folder, ("*.safetensors",)) or _files(self.folder, ("*.bin",))
        if not tensors:
            raise ConfigError(f"judge.model: {self.folder} has no weights (*.safetensors or *.bin)")
        config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        config.pop("transformers_version", None)
        return hashlib.sha256(f"{json.dumps(config, sort_keys=True)}\n{_digest(tensors)}".encode()).hexdigest()

    @contextmanager
    def alone(self) -> Iterator[tuple[Any, Any]]:
        """(model, tokenizer), for one thread at a time and without gradients.

        Raises:
            ConfigError: they cannot be loaded, or weights are missing.
        """
        import torch

        with self._lock, torch.inference_mode():
            if self._loaded is None:
                self._loaded = self._load()
            yield self._loaded

    def _load(self) -> tuple[Any, Any]:
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        try:
            model, report = getattr(transformers, self.auto_class).from_pretrained(
                self.folder, dtype=getattr(torch, self.dtype), output_loading_info=True
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder)
            model = model.to(self.device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
        except Exception as exc:  # damaged, of an unknown kind, too large: the libraries raise dozens of types
            reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
            raise ConfigError(f"judge.model: cannot load {self.folder}: {reason}") from exc
        if missing := sorted(report["missing_keys"]):
            raise ConfigError(
                f"judge.model: {self.folder} lacks the weights {', '.join(missing[:3])}: it was not made for "
                f"{self.auto_class}; choose another model"
            )
        return model, tokenizer


_shared: weakref.WeakValueDictionary[tuple[object, ...], LocalModel] = weakref.WeakValueDictionary()
_sharing = threading.Lock()


def shared_model(name: str, *settings: Any) -> LocalModel:
    """The model that all judges with these settings share; its memory is free once the last of them is closed."""
    folder = model_folder(name, "judge.model")
    with _sharing:
        model = _shared.get((folder, *settings)) or LocalModel(folder, *settings)
        _shared[(folder, *settings)] = model
        return model


class LocalConfig(CalibratedJudge.Config):
    model: str = Field(min_length=1)
    """A model folder, a hub id, `PATH.gguf`, or `gguf:PACKAGE/FILE` for a file inside an installed Python package."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 takes half the memory and is coarser: raw values then depend a little on the machine."""
    device: str | None = None
    """A torch device, like `cuda:1`; None takes a GPU where there is one."""


class LocalJudge(CalibratedJudge):
    """A calibrated judge with a transformers model on this machine. Implement `texts` and `values`."""

    not_behaviour = CalibratedJudge.not_behaviour | {"model", "device"}
    auto_class: ClassVar[str]
    """The class of transformers that loads the model."""
    form: ClassVar[int] = 1
    """Increase it when `values` computes other values from the same texts."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._model: LocalModel | None = None

    @abstractmethod
    def texts(self, request: JudgeRequest) -> dict[str, Any]:
        """What the model reads for one step, as JSON."""

    @abstractmethod
    def values(self, model: Any, tokenizer: Any, texts: dict[str, Any]) -> list[float]:
        """One raw value for each candidate."""

    def model(self) -> LocalModel:
        """The model, found but perhaps not yet loaded. Raises `ConfigError` where there is none."""
        if self._model is None:
            self._model = shared_model(self.config.model, self.auto_class, self.config.dtype, self.config.device)
        return self._model

    def scale(self) -> str:
        identity = self.model().identity
        text = f"{self.name}\n{self.form}\n{identity['weights']}\n{identity['tokenizer']}"
        return hashlib.sha256(text.encode()).hexdigest()

    def request(self, request: JudgeRequest) -> ApiRequest:
        body = {**self.model().identity, "form": self.form, **self.texts(request)}
        return ApiRequest(endpoint=f"local:{self.name}", body=body)

    def send(self, api_request: ApiRequest) -> ApiReply:
        import torch

        try:
            with self.model().alone() as (model, tokenizer):
                values = self.values(model, tokenizer, api_request.body)
        except torch.OutOfMemoryError as exc:
            raise ConfigError("judge.device: the GPU is out of memory; use `cpu`, or a smaller model") from exc
        return ApiReply(body={"values": values}, model=self.config.model)

    def close(self) -> None:
        self._model = None


def _files(folder: Path, patterns: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}))


def _digest(files: tuple[Path, ...]) -> str:
    stats = [(file, file.stat()) for file in files]
    return _hashed(tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats))


@lru_cache(maxsize=16)
def _hashed(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Digest of names and contents. Size and time are cache keys: a file is read again when it changed."""
    digest = hashlib.sha256()
    for file, *_ in files:
        with file.open("rb") as content:
            digest.update(f"{file.name}\n{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
