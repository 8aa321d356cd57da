"""Several processes filter, the results come in the order of the input.

Processes write the kept lines themselves, each at the place that the parent tells it once the
sizes of all earlier pieces are known: so writing takes several cores too, and the file is the
same whatever the number of processes.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from pathlib import Path

from uncensor_trainer.exits import WorkspaceFailure
from uncensor_trainer.filtering.lines import Outcome, filter_lines
from uncensor_trainer.filtering.policy import Policy, warm
from uncensor_trainer.filtering.sources import Chunk, Range, Task

_MOST_PIECES = 512  # of one system call
# Results that may wait for an earlier one: pieces take unequal times, and a process that had to
# wait for its neighbour after each would be idle a tenth of the time. Each holds a piece in memory.
_AHEAD = 4


@dataclass(slots=True)
class Done:
    """A filtered piece of the input.

    Attributes:
        chunk: where it came from, without its data.
        outcome: without its pieces.
        size: bytes to write; `data` has them unless a process writes them itself.
        ends_line: whether the last of them is a line feed.
        consumed: bytes of input that are done with it.
        is_last: whether the piece is done; one of very many lines comes in parts.
    """

    chunk: Chunk
    outcome: Outcome
    size: int
    ends_line: bool
    data: list[bytes | memoryview]
    consumed: int
    is_last: bool


def work(task: Task, policy: Policy) -> Iterator[Done]:
    """Filter one piece, part by part."""
    chunk = task.read() if isinstance(task, Range) else task
    consumed = task.stop - task.start if isinstance(task, Range) else len(chunk.data)
    parts = chunk.parts()
    for number, part in enumerate(parts, start=1):
        is_last = number == len(parts)
        yield _done(part, policy, consumed * is_last, is_last=is_last)


def _done(chunk: Chunk, policy: Policy, consumed: int, *, is_last: bool) -> Done:
    outcome = filter_lines(chunk.data, policy)
    if chunk.unreadable:
        outcome.quarantined = [
            replace(bad, reason=chunk.unreadable.get(bad.line, bad.reason), snippet="")
            for bad in outcome.quarantined
        ]
    pieces, outcome.pieces = outcome.pieces, []
    last = pieces[-1] if pieces else b"\n"
    size = sum(map(len, pieces))
    where = replace(chunk, data=b"", unreadable={})
    return Done(where, outcome, size, last[-1:] == b"\n", pieces, consumed, is_last)


def write_at(descriptor: int, pieces: list[bytes | memoryview], offset: int) -> None:
    """Write pieces one after another, at a byte of a file."""
    views = [memoryview(piece) for piece in pieces]
    while views:
        written = os.pwritev(descriptor, views[:_MOST_PIECES], offset)
        offset += written
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]


class Workers:
    """Processes that filter; use as a context, so that none stays behind."""

    def __init__(self, jobs: int, policy: Policy, target: Path | None) -> None:
        self._policy = policy
        self._target = target
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        # How many places each was told, how many of them before its last task, and has written to.
        self._told: Counter[Connection] = Counter()
        self._asked: Counter[Connection] = Counter()
        self._written: Counter[Connection] = Counter()
        warm()  # forked processes share the compiled patterns
        for _ in range(jobs):
            self._start(_context())

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            if error[0] is not None:
                process.terminate()
            process.join()

    def filtered(self, tasks: Iterator[Task], place: Callable[[Done], int]) -> Iterator[Done]:
        """Yield the results in the order of the tasks.

        Args:
            tasks: what to filter; taken one by one, as processes become free.
            place: says at which byte of the target a result belongs; asked in order.
        """
        free = list(self._pipes)
        ready: dict[int, tuple[Done, Connection]] = {}
        at_work: dict[Connection, int] = {}
        given = taken = 0
        most = len(free) + min(len(free), _AHEAD)
        while True:
            while free and given < taken + most and (task := next(tasks, None)) is not None:
                pipe = free.pop()
                self._ask(pipe, task)
                at_work[pipe], given = given, given + 1
            if taken == given:
                return
            for pipe in _readable(at_work):
                done, number = self._result(pipe), at_work.pop(pipe)
                ready[number] = (done, pipe)
                if done.is_last:
                    free.append(pipe)
            while taken in ready:
                done, pipe = ready.pop(taken)
                self._tell_place(pipe, done, place)
                yield done
                if done.is_last:
                    taken += 1
                else:  # its next part is asked for only now, for there may be many
                    at_work[pipe] = taken

    def is_written(self) -> Callable[[], bool]:
        """Return a question: is all written that processes have been told to write by now?"""
        wanted = dict(self._told)
        return lambda: all(self._written[pipe] >= count for pipe, count in wanted.items())

    def finish(self) -> None:
        """Wait until everything is written.

        Raises:
            OSError: a process could not write.
        """
        for pipe in self._pipes:
            self._give(pipe, None)
            _answer(pipe)

    def _ask(self, pipe: Connection, task: Task) -> None:
        self._asked[pipe] = self._told[pipe]
        self._give(pipe, task)

    def _result(self, pipe: Connection) -> Done:
        done = _answer(pipe)
        self._written[pipe] = self._asked[pipe]  # it wrote that before it took the task
        return done

    def _tell_place(self, pipe: Connection, done: Done, place: Callable[[Done], int]) -> None:
        if self._target:
            self._give(pipe, place(done))
            self._told[pipe] += 1

    def _give(self, pipe: Connection, what: Task | int | None) -> None:
        with suppress(BrokenPipeError):  # it says why when it is asked
            pipe.send(what)

    def _start(self, context: BaseContext) -> None:
        ours, theirs = context.Pipe()
        process = context.Process(  # type: ignore[attr-defined]
            target=_serve,
            args=(theirs, [*self._pipes, ours], self._policy, self._target),
            daemon=True,
        )
        process.start()
        theirs.close()
        self._pipes.append(ours)
        self._processes.append(process)


def _context() -> BaseContext:
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if "fork" in methods else "spawn")


def _readable(pipes: Iterable[Connection]) -> list[Connection]:
    return [pipe for pipe in wait(list(pipes)) if isinstance(pipe, Connection)]


def _answer(pipe: Connection) -> Done:
    try:
        answer = pipe.recv()
    except EOFError as error:
        raise WorkspaceFailure(
            "A filter process was killed, perhaps for want of memory. Use fewer with --jobs."
        ) from error
    if isinstance(answer, BaseException):
        raise answer
    done: Done = answer
    return done


def _serve(pipe: Connection, others: list[Connection], policy: Policy, target: Path | None) -> None:
    """Filter what comes through the pipe until it closes.

    Results are written when their place comes, in their order; the next task may come before it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    gc.freeze()  # the collector would write to every inherited object, and so copy its page
    for other in others:  # an inherited end would keep the pipe of a dead parent open
        other.close()
    descriptor = os.open(target, os.O_WRONLY) if target else None
    unwritten: deque[list[bytes | memoryview]] = deque()
    while True:
        try:
            what = pipe.recv()
            if what is None:
                pipe.send(None)
                return
            if isinstance(what, int) and descriptor is not None:
                write_at(descriptor, unwritten.popleft(), what)
                continue
            for done in work(what, policy):
                unwritten.append(done.data)
                done.data = [] if descriptor is not None else [b"".join(unwritten.pop())]
                pipe.send(done)
        except (EOFError, ConnectionError):
            return
        except Exception as error:  # noqa: BLE001 - the parent raises it
            pipe.send(error)
            return
