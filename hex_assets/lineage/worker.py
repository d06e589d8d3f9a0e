"""A process that parses texts for ``parser_processes.py``: ``python -m hex_assets.lineage.worker``.

It answers each line of its input, a JSON list of dialect, text and most characters, by the pickled
script, or nothing when memory ran out. Before each answer goes its length, eight bytes. The first
answer says that it is ready. It ends with its input, and by itself when one text takes too long
and nobody is left to end it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import IO

from hex_assets.lineage.parse import parse
from hex_assets.lineage.script_bytes import write_script

READY = b"ready"
LENGTH = 8

_TEXTS_PER_COLLECTION = 200
"""The cyclic collector costs a quarter of the time when it runs as often as it likes."""


def main(seconds: float, memory: int) -> None:
    """Parse until the input ends.

    Args:
        seconds: most time for one text before the process ends itself.
        memory: most bytes of address space beyond what the process begins with.
    """
    # What a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit_memory(memory)
    gc.freeze()
    gc.disable()
    send(answers, READY)
    for number, line in enumerate(sys.stdin.buffer, start=1):
        _end_after(seconds)
        try:
            dialect, sql, max_characters = json.loads(line)
            answer = write_script(parse(sql, dialect, max_characters))
        except MemoryError:
            answer = b""
        _end_after(0)
        send(answers, answer)
        if number % _TEXTS_PER_COLLECTION == 0:
            gc.collect()


def send(pipe: IO[bytes], answer: bytes) -> None:
    pipe.write(len(answer).to_bytes(LENGTH, "big") + answer)
    pipe.flush()


def _limit_memory(memory: int) -> None:
    """Where the system can; elsewhere the limit on time has to do."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    most = pages * resource.getpagesize() + memory
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _end_after(seconds: float) -> None:
    """Let the system end this process then, even inside a library call; 0 takes it back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
