"""What all drivers do: read a case per line of the input, and write an answer per line.

A case holds ``dialect, sql, database, schema, catalog`` (``database.schema.table`` to columns), an
answer ``tables, columns, milliseconds, error``. It runs in the engine's environment, with nothing
of this project.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

_SECONDS = 20.0
"""What hex-assets gives a text, too."""

Found = tuple[list[str], "list[tuple[str, str]] | None"]
"""Tables and columns."""


class _TooLong(BaseException):
    """Not an Exception, so that no engine takes it for one of its own."""


def speak(read: Callable[[dict[str, Any]], Found], tells_columns: bool) -> None:
    """Answer until the input ends.

    Args:
        read: the engine; what it raises is an answer too: that there is none.
        tells_columns: whether it tells columns of queries.
    """
    warnings.simplefilter("ignore")
    # What a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGALRM, _end)
    nothing: list[tuple[str, str]] | None = [] if tells_columns else None
    for line in sys.stdin:
        case = json.loads(line)
        error = None
        began = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, _SECONDS)
            tables, columns = read(case)
        except (Exception, _TooLong) as raised:
            tables, columns, error = [], nothing, type(raised).__name__
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        answer = {
            "tables": tables,
            "columns": columns,
            "milliseconds": (time.perf_counter() - began) * 1000,
            "error": error,
        }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _end(*_: object) -> None:
    raise _TooLong
