"""Trajectories on disk, whatever happens to the process or the disk."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from spark_framework.errors import DataError
from spark_framework.records import Candidate, Question, Step, Trajectory
from spark_framework.runs.trajectories import TrajectoryStore


def trajectory(index: int, round_name: str = "r") -> Trajectory:
    question = Question(id=f"q{index}", text="é?", options=("no", "yes"), answer=1, category="c", source="s")
    step = Step(candidates=(Candidate(action="answer", arguments={"text": "yes\u2028"}, token_ids=(1, 2)),))
    return Trajectory(
        id=f"{round_name}/{index}/0", round=round_name, index=index, question=question, steps=(step,), answer=1,
        correct=True, prompt_ids=(5, 6),
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "trajectories.jsonl"


def filled(path: Path, waves: int = 3, per_wave: int = 2) -> TrajectoryStore:
    store = TrajectoryStore(path)
    for wave in range(waves):
        first = wave * per_wave
        store.append("r", [trajectory(first + i) for i in range(per_wave)], next_index=first + per_wave)
    return store


def test_what_is_appended_is_read_back(path: Path) -> None:
    filled(path)
    store = TrajectoryStore(path)
    assert list(store.read()) == [trajectory(i) for i in range(6)]
    assert store.next_index("r") == 6
    assert store.next_index("other") == 0


def test_nothing_was_ever_stored(path: Path) -> None:
    store = TrajectoryStore(path)
    assert list(store.read()) == []
    assert not path.parent.exists()


def test_rounds_are_kept_apart(path: Path) -> None:
    store = TrajectoryStore(path)
    store.append("a", [trajectory(0, "a")], next_index=1, dropped=[0])
    store.append("b", [trajectory(0, "b")], next_index=5)
    store.append("a", [trajectory(3, "a")], next_index=4, dropped=[2, 2])
    for again in (store, TrajectoryStore(path)):
        assert (again.next_index("a"), again.next_index("b"), again.dropped) == (4, 5, {"a": [0, 2, 2], "b": []})
        assert [t.id for t in again.read("a")] == ["a/0/0", "a/3/0"]


def test_killed_at_any_byte_of_the_data(path: Path) -> None:
    """The last wave was being written: whatever there is of it, it counts for nothing and is done again."""
    filled(path, waves=2)
    two = path.read_bytes()
    commits = path.with_suffix(".commits").read_bytes()
    filled_size = len(two)
    wave = b"".join(trajectory(i).model_dump_json().encode() + b"\n" for i in (4, 5))
    for cut in (*range(0, len(wave), 97), len(wave) - 1, len(wave)):
        path.write_bytes(two + wave[:cut])
        path.with_suffix(".commits").write_bytes(commits)
        store = TrajectoryStore(path)
        assert store.next_index("r") == 4
        assert [t.index for t in store.read()] == [0, 1, 2, 3]
        store.append("r", [trajectory(4), trajectory(5)], next_index=6)
        assert path.read_bytes() == two + wave
        assert path.stat().st_size > filled_size


def test_killed_at_any_byte_of_the_commit(path: Path) -> None:
    filled(path)
    data, commits = path.read_bytes(), path.with_suffix(".commits").read_bytes()
    ends = [i + 1 for i, byte in enumerate(commits) if byte == ord("\n")]
    for cut in range(len(commits) + 1):
        path.write_bytes(data)
        path.with_suffix(".commits").write_bytes(commits[:cut])
        waves = sum(end <= cut for end in ends)
        store = TrajectoryStore(path)
        assert store.next_index("r") == 2 * waves
        assert [t.index for t in store.read()] == list(range(2 * waves))
        for wave in range(waves, 3):
            store.append("r", [trajectory(2 * wave), trajectory(2 * wave + 1)], next_index=2 * wave + 2)
        assert path.read_bytes() == data
        assert path.with_suffix(".commits").read_bytes() == commits


def test_reading_during_a_write_removes_nothing(path: Path) -> None:
    """Data without their commit may be a writer's wave of this very moment: a reader leaves them alone."""
    filled(path, waves=1)
    with path.open("ab") as file:
        file.write(b'{"half')
    size = path.stat().st_size
    assert len(list(TrajectoryStore(path).read())) == 2
    assert path.stat().st_size == size


def test_lost_data_are_not_passed_over(path: Path) -> None:
    filled(path)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(DataError, match="shorter than its commits record"):
        TrajectoryStore(path)


def test_a_damaged_line_is_named(path: Path) -> None:
    filled(path)
    lines = path.read_bytes().split(b"\n")
    lines[2] = b"#" * len(lines[2])
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"trajectories\.jsonl, line 3: "):
        list(TrajectoryStore(path).read())
    lines[2] = lines[1].replace(b'"correct"', b'"currect"')
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"line 3: cu?o?rrect: "):
        list(TrajectoryStore(path).read())


def test_a_damaged_commit_is_named(path: Path) -> None:
    filled(path)
    commits = path.with_suffix(".commits")
    commits.write_text("{oops\n" + commits.read_text())
    with pytest.raises(DataError, match=r"trajectories\.commits, line 1: "):
        TrajectoryStore(path)


@pytest.mark.parametrize("spare", [0, 100, 900])
def test_a_full_disk_leaves_the_file_as_it_was(path: Path, spare: int) -> None:
    """A limit on the file's size stands for the full disk: the kernel refuses the write in the same place."""
    store = filled(path, waves=2)
    data, commits = path.read_bytes(), path.with_suffix(".commits").read_bytes()
    code = f"""
        import resource, signal, sys
        from pathlib import Path
        from tests.run_files.test_trajectories import trajectory
        from spark_framework.errors import RunError
        from spark_framework.runs.trajectories import TrajectoryStore
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = TrajectoryStore(Path({str(path)!r}))
        resource.setrlimit(resource.RLIMIT_FSIZE, ({len(data) + spare}, {resource.RLIM_INFINITY}))
        for _ in range(2):
            try:
                store.append("r", [trajectory(4), trajectory(5)], next_index=6)
            except RunError as exc:
                print(exc)
        assert [t.index for t in store.read()] == [0, 1, 2, 3]
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert first == second
    assert "free some space" in first
    assert (path.read_bytes(), path.with_suffix(".commits").read_bytes()) == (data, commits)
    store.append("r", [trajectory(4), trajectory(5)], next_index=6)
    assert len(list(TrajectoryStore(path).read())) == 6


def test_datasets_reads_the_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    filled(path)
    rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["id"] == [f"r/{i}/0" for i in range(6)]
    assert rows[0]["question"]["text"] == "é?"
    assert rows[0]["steps"][0]["candidates"][0]["token_ids"] == [1, 2]
