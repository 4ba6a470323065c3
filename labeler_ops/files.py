"""Files that appear whole or not at all, and are on the disk when the call returns."""

import os
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file that only its owner may read; a reader sees the old one or the new one, whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)  # a full disk has room again
        raise
    sync(path.parent)
    return path


def write_variables(path: Path, variables: Mapping[str, str]) -> Path:
    """Write variables for a shell, `set -a; . file`, as `write_whole` writes."""
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    return write_whole(path, "".join(lines).encode())


def sync(*paths: Path) -> None:
    """Put files or the names in directories on the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
