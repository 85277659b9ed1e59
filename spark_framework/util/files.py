"""Writing files and folders that are whole, or not there, after `kill -9` and on a full disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import RunError


def write_atomic(path: Path, text: str) -> None:
    """Write a small file in one step; a reader sees the old text or the new one. `RunError` if the disk refuses."""
    with _disk_errors(path), replacing(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a file or folder to write, which takes the place of `path` at the end of the block; a folder must not
    exist yet. After an error, `path` is as it was.

    Raises:
        OSError: the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    yield part
    os.replace(part, path)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` at the end of the block. After an error nothing is left of it.

    Raises:
        OSError: the disk refuses, or `target` is a folder with files.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as made:
        part = Path(made) / target.name  # a folder of its own: the temporary one can be read by its owner only
        part.mkdir()
        yield part
        part.rename(target)


def append_lines(path: Path, size: int, lines: Iterable[str]) -> int:
    """Append lines after the first `size` bytes of a file, all or none; returns when they are on disk.

    Args:
        size: bytes of the file that count. What follows them was left by a killed process and is cut off.
        lines: without line ends.

    Returns:
        The new size in bytes.

    Raises:
        RunError: the disk refuses; the file then has its first `size` bytes.
    """
    data = "".join(line + "\n" for line in lines).encode()
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.truncate(size)
            try:
                left = memoryview(data)
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise
    return size + len(data)


def whole_lines(data: bytes) -> int:
    """The size of the lines that have an end: a last line without one was cut off by a kill."""
    return data.rfind(b"\n") + 1


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise RunError(f"{path}: {exc.strerror}; free some space and give the same command again") from exc
