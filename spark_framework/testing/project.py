"""A small run without weights: scripted candidates, two tools, a byte tokenizer."""

from __future__ import annotations

import io
import string
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from ..records import Trajectory

TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
BLANK = "Ġ"
"""How a byte-level tokenizer writes a blank."""


class Result(NamedTuple):
    """The outcome of a command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Project:
    """A folder with `run.yaml`; the run goes into `run`."""

    folder: Path

    @property
    def config(self) -> Path:
        """The config file."""
        return self.folder / "run.yaml"

    @property
    def run_folder(self) -> Path:
        """Where `command("generate", project.config)` puts the run."""
        return self.folder / "run"

    def command(self, *argv: str | Path) -> Result:
        """Run `spark-framework ARGV…` in this process: exit code, standard output and error."""
        from ..cli import main

        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(argument) for argument in argv])
        return Result(code, out.getvalue(), err.getvalue())

    def trajectories(self) -> list[Trajectory]:
        """What the run has stored."""
        from ..runs.run_dir import TRAJECTORIES
        from ..runs.trajectories import TrajectoryStore

        return list(TrajectoryStore(self.run_folder / TRAJECTORIES).read())


def new_project(folder: Path, changes: Mapping[str, Any]) -> Project:
    """Write the config, and a tokenizer in the place of a model. Scripted rounds need nothing else of a model."""
    model = folder / "model"
    model.mkdir(parents=True)
    _write_tokenizer(model)
    config = {
        "run": str(folder / "run"),
        "policy": {"model": str(model), "prompt": "short"},
        "questions": {"use": "practice", "families": ["arithmetic", "molar_mass"]},
        "tools": ["calculator", "science"],
        "judge": "verifier",
        "steps": 2,
        "rollouts": [{"name": "demonstrations", "proposer": "scripted", "questions": 4}],
        **changes,
    }
    project = Project(folder)
    project.config.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return project


def _write_tokenizer(folder: Path) -> None:
    """Every byte is a token, and a letter goes with the blank before it: the first token tells actions apart."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    merges = [(BLANK, letter) for letter in string.ascii_letters]
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(blank + letter for blank, letter in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={token: k for k, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    start, end = "<|start|>", "<|end|>"
    tokenizer.add_special_tokens([AddedToken(start, special=True), AddedToken(end, special=True)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=start, eos_token=end, pad_token=end, chat_template=TEMPLATE
    ).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
