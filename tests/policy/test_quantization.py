"""4-bit weights need CUDA and bitsandbytes: where one is missing, one line says so before anything is loaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from spark_framework.errors import ConfigError
from spark_framework.models.loading import load_model


def test_without_cuda(tiny: Path) -> None:
    with pytest.raises(ConfigError, match="4bit needs CUDA"):
        load_model(str(tiny), device="cpu", quantization="4bit")


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_without_bitsandbytes(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'spark-framework\[qlora\]'"):
        load_model(str(tiny), device="cuda", quantization="4bit")


@pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("bitsandbytes") is None,
    reason="no CUDA with bitsandbytes; on a GPU, `pip install '.[qlora]'`",
)
def test_four_bits_say_nearly_the_same(tiny: Path) -> None:
    ids = torch.tensor([[5, 6, 7]], device="cuda")
    with torch.no_grad():
        full = load_model(str(tiny), dtype="float32", device="cuda")(ids).logits
        small = load_model(str(tiny), dtype="float32", device="cuda", quantization="4bit")(ids).logits
    assert torch.nn.functional.cosine_similarity(full, small, -1).min() > 0.9
