"""Other model families: read as a tree, with sliding windows, and by branches, each as they read plain rows; and those
that cannot be read so are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from spark_framework.errors import ConfigError
from spark_framework.models.branched_generation import Branches
from spark_framework.models.compatibility import check_model
from spark_framework.models.loading import load_model
from spark_framework.models.tree_attention import LONGEST, Segment, device_kind, enable_tree_attention, segments

SHAPE = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MIXED = ["sliding_attention", "full_attention", "sliding_attention"]
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "mistral with a window": ("Mistral", {"sliding_window": 6}),
    "phi3 with a window": ("Phi3", {"sliding_window": 6, "head_dim": 8}),
    "qwen2": ("Qwen2", {}),
    "qwen2 with windows": ("Qwen2", {"use_sliding_window": True, "sliding_window": 6, "layer_types": MIXED}),
    "qwen3": ("Qwen3", {"head_dim": 8}),
    "gemma3 with windows": ("Gemma3Text", {"sliding_window": 6, "layer_types": MIXED, "head_dim": 8}),
    "olmo2": ("Olmo2", {}),
    "smollm3": ("SmolLM3", {}),
}
UNFIT: dict[str, tuple[str, dict[str, Any], str]] = {
    "granite": ("Granite", {"logits_scaling": 4.0}, "is not supported: its logits are not the plain output layer"),
    "phi": ("Phi", {}, "is not supported: its logits are not the plain output layer"),
    "lfm2": ("Lfm2", {"full_attn_idxs": [1]}, "is not supported: "),
    "gemma2": ("Gemma2", {"head_dim": 8}, "cannot load .*does not support an attention implementation"),
    "mamba": ("Mamba", {"state_size": 4}, "cannot load .*does not support an attention implementation"),
    "bloom": ("Bloom", {"n_layer": 2, "n_head": 4}, "cannot load .*does not support an attention implementation"),
}


def model(family: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**{**SHAPE, **changes})
    made = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return made.eval()


TRUNK = [11, 12, 13, 14, 15, 16, 17, 18, 19]
BRANCHES = ([21, 22, 23, 24], [31, 32], [21, 42, 43, 44, 45])


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Any:
    name, changes = FAMILIES[request.param]
    return model(name, **changes)


def alone(of: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return of.base_model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0]


def test_a_tree_is_read_as_its_paths(family: Any) -> None:
    check_model(family, "it")
    expected = [alone(family, [*TRUNK, *branch]) for branch in BRANCHES]
    ids, parents, places = list(TRUNK), list(range(-1, len(TRUNK) - 1)), []
    for branch in BRANCHES:
        places.append([*range(len(TRUNK)), *range(len(ids), len(ids) + len(branch))])
        parents += [len(TRUNK) - 1, *range(len(ids), len(ids) + len(branch) - 1)]
        ids += branch
    positions = [0] * len(ids)
    for i, parent in enumerate(parents):
        positions[i] = positions[parent] + 1 if parent >= 0 else 0
    enable_tree_attention(family)
    with torch.no_grad():
        found = family.base_model(
            input_ids=torch.tensor([ids]), position_ids=torch.tensor([positions]), segments=segments(parents, "cpu"),
            use_cache=False,
        ).last_hidden_state[0]  # fmt: skip
    for at, one in zip(places, expected, strict=True):
        torch.testing.assert_close(found[at], one, atol=1e-4, rtol=0)


def test_branches_grow_as_plain_rows_do(family: Any) -> None:
    with torch.no_grad():
        cache = transformers.DynamicCache()
        hidden = family.base_model(
            input_ids=torch.tensor([TRUNK]), past_key_values=cache, use_cache=True,
            attention_mask=torch.ones(1, len(TRUNK), dtype=torch.long),
        ).last_hidden_state  # fmt: skip
        grown = Branches(family.base_model, cache, torch.ones(1, len(TRUNK), dtype=torch.long), hidden[:, -1], [0] * 3)
        first = grown.feed([branch[:2] for branch in BRANCHES])
        second = grown.feed([branch[2:] for branch in BRANCHES])
    for branch, one, other in zip(BRANCHES, first, second, strict=True):
        expected = alone(family, [*TRUNK, *branch])[len(TRUNK) :]
        torch.testing.assert_close(torch.cat([one, other]), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", UNFIT)
def test_families_that_would_be_read_wrongly_are_refused(name: str, tmp_path: Path) -> None:
    family, changes, why = UNFIT[name]
    model(family, **changes).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=f"policy.model: .*{why}"):
        load_model(str(tmp_path), dtype="float32", device="cpu")


def test_a_plain_row_is_one_segment() -> None:
    assert segments(range(-1, 999), "cpu") == [Segment(0, 1000, ())]


def test_a_tree_is_cut_where_it_branches_and_what_grows_is_cut_short() -> None:
    """Two rows side by side; the second one forks, and one of its branches is long."""
    long = 2 * LONGEST["cpu"] + 1
    parents = [-1, 0, 1, -1, 3, 4, 5, 4, *range(7, 7 + long - 1)]
    found = [(one.begin, one.end, one.before) for one in segments(parents, "cpu")]
    cut = LONGEST["cpu"]
    assert found == [
        (0, 3, ()),
        (3, 5, ()),
        (5, 7, ((3, 5),)),
        (7, 7 + cut, ((3, 5),)),
        (7 + cut, 7 + 2 * cut, ((3, 5), (7, 7 + cut))),
        (7 + 2 * cut, 7 + long, ((3, 5), (7, 7 + 2 * cut))),
    ]


@pytest.mark.parametrize(("device", "expected"), [("cpu", "cpu"), ("cuda", "gpu"), ("cuda:1", "gpu"), ("mps", "gpu")])
def test_every_device_has_its_figures(device: str, expected: str) -> None:
    assert device_kind(device) == expected
    assert segments([-1, 0, 0], device)
