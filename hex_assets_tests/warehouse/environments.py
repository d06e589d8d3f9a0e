"""Environments of test servers that do not go together with the project's own packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest


def python_of(
    name: str,
    packages: Sequence[str],
    *,
    dependencies: bool = True,
    overrides: Sequence[str] = (),
) -> Path:
    """The interpreter of an environment, which is made once and kept.

    ``HEX_ASSETS_TEST_CACHE`` says where; by default the user's cache folder.

    Args:
        name: tells the versions apart.
        packages: requirements, pinned.
        dependencies: install what the packages need, too.
        overrides: requirements that count instead of what packages ask for.

    Raises:
        subprocess.CalledProcessError: it cannot be installed; ``stderr`` says why.
    """
    cache = os.environ.get("HEX_ASSETS_TEST_CACHE")
    root = Path(cache) if cache else Path.home() / ".cache" / "hex-assets-tests"
    home = root / f"{name}-python-{sys.version_info.major}.{sys.version_info.minor}"
    python = home / "bin" / "python"
    if python.exists():
        return python
    root.mkdir(parents=True, exist_ok=True)
    uv = shutil.which("uv")
    if uv is None:
        raise FileNotFoundError("uv is not installed")
    with tempfile.TemporaryDirectory(dir=root) as folder:
        draft = Path(folder) / "venv"
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(draft)])
        options = [] if dependencies else ["--no-deps"]
        if overrides:
            file = Path(folder) / "overrides.txt"
            file.write_text("\n".join(overrides), encoding="utf-8")
            options += ["--overrides", str(file)]
        install = [uv, "pip", "install", "--quiet", "--python", str(draft / "bin" / "python")]
        _run([*install, *options, *packages])
        try:
            draft.rename(home)
        except OSError:
            if not python.exists():  # else another run made it meanwhile
                raise
    return python


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=600)


def absent(reason: str) -> NoReturn:
    """Skip the test, or fail it where ``HEX_ASSETS_REQUIRE_SERVERS`` is 1."""
    if os.environ.get("HEX_ASSETS_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running(python: Path, script: Path, *arguments: str) -> Iterator[int]:
    """Port of a server on 127.0.0.1: a script that prints it, and ends with its input."""
    with subprocess.Popen(
        [str(python), str(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()
