"""Parsing in processes of its own, so that limits hold whatever a text does to the parser.

No limit that Python code keeps holds inside one call of a compiled library. So texts that may cost
much, and all texts of large batches, are parsed by worker processes (``worker.py``): what runs over
its time is killed, what bloats runs into the memory limit of its process, what crashes takes
nothing with it. Such a text becomes a script that says which limit it ran into; the rest goes on.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock, Thread
from time import monotonic
from typing import NamedTuple

from hex_assets.errors import ParserProcessError
from hex_assets.lineage.parse import MAX_CHARACTERS, Script, parse
from hex_assets.lineage.reads import Unread
from hex_assets.lineage.resolve import Reason
from hex_assets.lineage.script_bytes import read_script
from hex_assets.lineage.worker import LENGTH, READY

_SMALL_BATCH = 300
"""Texts that are parsed here rather than by processes, which take a second to start."""

_LONG, _MANY_BRACKETS, _MANY_JOINS = 20_000, 400, 60
"""Characters, opening brackets and joins from which on a text never is parsed here."""

_AHEAD_CHARACTERS, _AHEAD_TEXTS = 8_000, 8
"""What a worker may be sent before it answers; as bytes it must fit into a pipe's buffer."""

_STARTING = 120.0
_LONGEST_ANSWER = 1 << 30
_MOST_PROCESSES = 16
_UNTIL_IT_ENDS_ITSELF = 5.0


class Text(NamedTuple):
    """A text to parse."""

    dialect: str
    sql: str


@dataclass(frozen=True)
class Limits:
    """What one text may cost.

    Attributes:
        seconds: time on the clock.
        memory: bytes beyond what a parser process takes by itself (on Linux).
        characters: longer texts are not parsed.
    """

    seconds: float = 20.0
    memory: int = 1 << 30
    characters: int = MAX_CHARACTERS


def usable_processors() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_command(limits: Limits) -> Sequence[str]:
    """Starts a worker with this interpreter."""
    ends_itself = limits.seconds + _UNTIL_IT_ENDS_ITSELF
    module = "hex_assets.lineage.worker"
    return (sys.executable, "-m", module, str(ends_itself), str(limits.memory))


class ParserProcesses:
    """Parses texts, those that may cost much and large batches by worker processes.

    Workers start when they are needed and end on ``close``.

    Args:
        limits: for each text.
        processes: most workers at once; None means one per processor.
        small_batch: most texts that are parsed without workers, unless they may cost much.
        command: starts a worker.
        clock: seconds, against which time limits are kept.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        processes: int | None = None,
        small_batch: int = _SMALL_BATCH,
        command: Callable[[Limits], Sequence[str]] = worker_command,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.limits = limits or Limits()
        self._most = processes or min(usable_processors(), _MOST_PROCESSES)
        self._small_batch = small_batch
        self._command = command
        self._clock = clock
        self._idle: list[_Worker] = []

    def __enter__(self) -> ParserProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        while self._idle:
            self._idle.pop().end()

    def parse(self, texts: Sequence[Text]) -> Iterator[tuple[int, Script]]:
        """Each text's place in ``texts`` with what it reads, in any order.

        Raises:
            ValueError: sqlglot knows no such dialect.
            ParserProcessError: workers cannot be started.
        """
        small = len(texts) <= self._small_batch
        ours: list[int] = []
        theirs: list[int] = []
        for place, text in enumerate(texts):
            # What is too long is told so without being looked at.
            here = len(text.sql) > self.limits.characters or (small and not may_cost_much(text.sql))
            (ours if here else theirs).append(place)
        yield from self._by_workers(texts, theirs)
        for place in ours:
            yield place, parse(texts[place].sql, texts[place].dialect, self.limits.characters)

    def _by_workers(
        self, texts: Sequence[Text], places: Sequence[int]
    ) -> Iterator[tuple[int, Script]]:
        if not places:
            return
        for dialect in {texts[place].dialect for place in places}:
            parse("", dialect)
        waiting = _Waiting(deque(places))
        answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        count = min(self._most, len(places))
        while len(self._idle) < count:
            self._idle.append(_Worker(self._command, self.limits, self._clock))
        workers, self._idle = self._idle[:count], self._idle[count:]
        for worker in workers:
            worker.begin(texts, waiting, answers)
        left, failure = len(places), None
        try:
            while left and failure is None:
                try:
                    answer = answers.get(timeout=_Worker.wait(workers, self._clock()))
                except queue.Empty:
                    for worker in workers:
                        worker.kill_if_over_time()
                    continue
                if isinstance(answer, BaseException):
                    failure = answer
                    continue
                left -= 1
                yield answer
        finally:
            waiting.places.clear()
            for worker in workers:
                if left:
                    worker.end()
                worker.join()
                if not left:
                    self._idle.append(worker)
        if failure is not None:
            raise failure


_Answer = tuple[int, Script] | BaseException


def may_cost_much(sql: str) -> bool:
    """Whether parsing it may take seconds, gigabytes, or more of the stack than there is."""
    if len(sql) >= _LONG:
        return True
    if sum(map(sql.count, "([{")) > _MANY_BRACKETS:
        return True
    folded = sql.lower()
    return folded.count("join") > _MANY_JOINS or folded.count("case") > _MANY_JOINS


class _Waiting:
    """Texts that no worker has taken yet; workers' threads take from it."""

    def __init__(self, places: deque[int]) -> None:
        self.places = places
        self._lock = Lock()

    def take(self, texts: Sequence[Text]) -> list[int]:
        """Some texts, as many as may be sent at once."""
        taken: list[int] = []
        characters = 0
        with self._lock:
            while self.places and len(taken) < _AHEAD_TEXTS:
                length = len(texts[self.places[0]].sql)
                if taken and characters + length > _AHEAD_CHARACTERS:
                    break
                characters += length
                taken.append(self.places.popleft())
        return taken


class _Worker:
    """One worker process, and the thread that speaks with it during a batch."""

    def __init__(
        self,
        command: Callable[[Limits], Sequence[str]],
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._command = command
        self._clock = clock
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: Thread | None = None
        self._lock = Lock()
        self.deadline: float | None = None
        self._over_time = False
        self._ended = False

    def begin(
        self,
        texts: Sequence[Text],
        waiting: _Waiting,
        answers: queue.SimpleQueue[_Answer],
    ) -> None:
        self._thread = Thread(target=self._run, args=(texts, waiting, answers), daemon=True)
        self._thread.start()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def end(self) -> None:
        """Kill the process; the thread, if it runs, finds it gone and ends."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is not None:
            process.kill()
        self.join()
        self._clear()

    @staticmethod
    def wait(workers: Sequence[_Worker], now: float) -> float:
        """Seconds until one of them may be over its time."""
        deadlines = [worker.deadline for worker in workers]
        times = [deadline - now for deadline in deadlines if deadline is not None]
        return min(1.0, max(0.005, min(times, default=1.0)))

    def kill_if_over_time(self) -> None:
        with self._lock:
            over = self.deadline is not None and self._clock() >= self.deadline
            if over and self._process is not None:
                self._over_time = True
                self.deadline = None
                self._process.kill()

    def _run(
        self,
        texts: Sequence[Text],
        waiting: _Waiting,
        answers: queue.SimpleQueue[_Answer],
    ) -> None:
        try:
            while taken := waiting.take(texts):
                left = deque(taken)
                while left and not self._ended:
                    self._send(texts, left, answers)
        except Exception as error:  # whatever it is, the thread that waits must hear of it
            answers.put(error)

    def _send(
        self,
        texts: Sequence[Text],
        left: deque[int],
        answers: queue.SimpleQueue[_Answer],
    ) -> None:
        """Have texts parsed; what is left when the process ends is not its fault but the first's.

        A text that ends a process which has parsed others is tried again in a new one.
        """
        fresh = self._process is None
        if self._process is None:
            self._start()
        problem: str | None = ""
        try:
            self._write([texts[place] for place in left])
            while left:
                self._set_deadline(self._limits.seconds)
                script = self._read()
                self._set_deadline(None)
                if script is None:
                    problem = f"took more than {self._limits.memory >> 20:,} MiB of memory"
                    break
                answers.put((left.popleft(), script))
                fresh = False
            else:
                return
        except _Gone:
            self._set_deadline(None)
            problem = "ended the process that parsed it"
        over_time = self._over_time
        self._stop()
        if self._ended:
            return
        if over_time:
            problem = f"took more than {self._limits.seconds:g} seconds to parse"
        if over_time or fresh:
            place = left.popleft()
            script = Script(texts[place].dialect, (Unread(Reason.NOT_PARSED, "", problem),))
            answers.put((place, script))

    def _start(self) -> None:
        path = os.pathsep.join(part for part in sys.path if part)
        try:
            with self._lock:
                if self._ended:
                    return
                self._over_time = False
                self._process = subprocess.Popen(
                    self._command(self._limits),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": path},
                )
            self._set_deadline(_STARTING)
            ready = self._frame()
            self._set_deadline(None)
        except (_Gone, OSError) as error:
            ready, reason = b"", str(error) or "it ended before it was ready"
        else:
            reason = "it said something else than that it is ready"
        if ready != READY and not self._ended:
            self._stop()
            raise ParserProcessError(
                f"a process that parses SQL could not be started: {reason}. See that this user "
                f"may start processes, and that {sys.executable} can import hex_assets."
            )

    def _write(self, texts: Sequence[Text]) -> None:
        if self._process is None or self._process.stdin is None:
            raise _Gone
        try:
            for dialect, sql in texts:
                line = json.dumps([dialect, sql, self._limits.characters])
                self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except (BrokenPipeError, OSError) as error:
            raise _Gone from error

    def _read(self) -> Script | None:
        answer = self._frame()
        if not answer:
            return None
        try:
            return read_script(answer)
        except ValueError as error:
            raise _Gone from error

    def _frame(self) -> bytes:
        if self._process is None or self._process.stdout is None:
            raise _Gone
        length = self._process.stdout.read(LENGTH)
        if len(length) < LENGTH or int.from_bytes(length, "big") > _LONGEST_ANSWER:
            raise _Gone
        answer = self._process.stdout.read(int.from_bytes(length, "big"))
        if len(answer) < int.from_bytes(length, "big"):
            raise _Gone
        return answer

    def _set_deadline(self, seconds: float | None) -> None:
        with self._lock:
            # Killed too late: the answer was there already, and the next text is not to blame.
            self._over_time = self._over_time and seconds is None
            self.deadline = None if seconds is None else self._clock() + seconds

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._clear()

    def _clear(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                try:
                    if pipe is not None:
                        pipe.close()
                except OSError:
                    # What was still to be written to it is for nobody any more.
                    continue


class _Gone(Exception):
    """The process ended, or speaks no sense."""
