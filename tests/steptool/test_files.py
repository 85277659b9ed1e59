"""StepTool's CSV: read and written without loss, or refused in one line that names the row."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from spark_framework.errors import DataError
from spark_framework.training.data.ppo_csv import PpoExample, read_ppo_csv, write_ppo_csv
from tests.steptool.episodes import EXAMPLES
from tests.steptool.shared import SHARED, needs_shared

GOOD = ("['a', 'b']", "['x', 'y']", "[0.5, 1]")


def written(path: Path, *rows: tuple[str, ...], header: str = "prompt\tresponse\treward") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(header + "\n")
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)
    return path


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_ppo_csv(path, EXAMPLES)
    assert read_ppo_csv(path) == EXAMPLES
    again = tmp_path / "b.csv"
    write_ppo_csv(again, read_ppo_csv(path))
    assert again.read_bytes() == path.read_bytes()


@needs_shared
@pytest.mark.parametrize("path", sorted(SHARED.glob("*_step_grained_for_ppo_example.csv")), ids=lambda path: path.name)
def test_steptools_own_file_comes_back_byte_by_byte(tmp_path: Path, path: Path) -> None:
    examples = read_ppo_csv(path)
    assert len(examples) == 10
    write_ppo_csv(tmp_path / "copy.csv", examples)
    assert (tmp_path / "copy.csv").read_bytes() == path.read_bytes()


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfprompt\tresponse\treward\r\n['a\\d']\t['x']\t[1]\r\n")
    assert read_ppo_csv(path) == [PpoExample(prompts=("a\\d",), responses=("x",), rewards=(1.0,))]


def test_whole_numbers_are_rewards_too(tmp_path: Path) -> None:
    (example,) = read_ppo_csv(written(tmp_path / "a.csv", GOOD))
    assert example == PpoExample(prompts=("a", "b"), responses=("x", "y"), rewards=(0.5, 1.0))


FAULTS = {
    "ragged": (("['a', 'b']", "['x']", "[0.5, 1.0]"), "2 prompts, 1 responses, 2 rewards"),
    "reward_is_text": (("['a', 'b']", "['x', 'y']", "[0.5, 'high']"), "reward of step 2 is 'high', not a number"),
    "reward_is_true": (("['a']", "['x']", "[True]"), "reward of step 1 is True, not a number"),
    "reward_is_nan": (("['a']", "['x']", "[nan]"), "not a list of numbers"),
    "reward_is_infinite": (("['a']", "['x']", "[1e999]"), "not a number"),
    "reward_is_huge": (("['a']", "['x']", f"[{'9' * 400}]"), "not a number"),
    "reward_is_missing": (("['a']", "['x']", "[None]"), "None, not a number"),
    "empty_response": (("['a', 'b']", "['x', '']", "[1, 1]"), "response of step 2 is empty"),
    "blank_prompt": (("['a', ' \\n']", "['x', 'y']", "[1, 1]"), "prompt of step 2 is empty"),
    "no_step": (("[]", "[]", "[]"), "no steps"),
    "long_response": (("['a']", f"['{'x' * 100_000}']", "[1]"), "has 100,000 characters; at most 50,000"),
    "very_long_response": (("['a']", f"['{'x' * 1_000_000}']", "[1]"), "field larger than field limit (1000000)"),
    "a_bomb_of_numbers": (("['a']", "['x']", f"[{'1,' * 600_000}]"), "field larger than field limit"),
    "a_bomb_of_signs": (("['a']", "['x']", f"[{'-' * 100_000}1]"), "is not a list of numbers"),
    "a_bomb_of_digits": (("['a']", "['x']", f"[{'9' * 100_000}]"), "is not a list of numbers"),
    "no_list": (("'a'", "['x']", "[1]"), "prompt cell holds str, not a list"),
    "no_python": (("['a'", "['x']", "[1]"), "prompt cell is not a Python list"),
    "code": (("__import__('os').getcwd()", "['x']", "[1]"), "prompt cell is not a Python list"),
    "deeply_nested": (("[" * 5000 + "]" * 5000, "['x']", "[1]"), "prompt cell is not a Python list"),
    "number_for_text": (("[1]", "['x']", "[1]"), "prompt of step 1 is int, not a string"),
    "half_a_character": (("['\\ud800']", "['x']", "[1]"), "surrogate"),
    "two_cells": (("['a']", "['x']"), "2 cells; 3 are needed"),
    "empty_row": ((), "0 cells; 3 are needed"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_with_its_row(tmp_path: Path, name: str) -> None:
    row, text = FAULTS[name]
    path = written(tmp_path / "a.csv", GOOD, GOOD, row, GOOD)
    with pytest.raises(DataError) as caught:
        read_ppo_csv(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, row 3: ")
    assert text in message
    assert "\n" not in message
    assert len(message) < 400


def test_a_longer_response_can_be_allowed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", ("['a']", f"['{'x' * 200_000}']", "[1]"))
    assert len(read_ppo_csv(path, max_characters=200_000)[0].responses[0]) == 200_000
    assert csv.field_size_limit() < 200_000  # nobody else's files are read differently


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "no header"),
        (b"prompt,response,reward\n", "separated by tabs"),
        (b"prompt\tresponse\treward\n", "holds no rows"),
        (b"prompt\tresponse\treward\n\xff\xfe\n", "not UTF-8"),
        (b"prompt\treward\n['a']\t[1]\n", "no header"),
        (b"prompt\tresponse\treward\n\"['a']\" x\t1\t2\n", "row 1: .*line 2"),
        (b"prompt\tresponse\treward\n\"['a']\t1\t2\n", "row 1: unexpected end of data"),
        (b"prompt\tresponse\treward\n['a']\t['b']\t[1]\n\"['a']\t1\t2\n", "row 2: unexpected end of data"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=text):
        read_ppo_csv(path)


def test_a_missing_file_and_a_folder_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_ppo_csv(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_ppo_csv(tmp_path)
