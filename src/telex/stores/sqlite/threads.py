"""The two threads that work on the file: one reads, one writes, and what waits to be written shares one commit."""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar

from telex.stores.futures import failed
from telex.stores.ports import StoreError
from telex.stores.sqlite.database import WRONG, explain, explained

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MOST = 1000
"""Writes that one transaction has at most."""


class Reader:
    """Reads, one after the other; what another connection committed before is seen."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path
        self._thread = ThreadPoolExecutor(1, "telex-reader")

    def do(self, work: Work[T]) -> Future[T]:
        try:
            return self._thread.submit(self._read, work)
        except RuntimeError:  # it was shut down
            return closed(self._path)

    def close(self) -> None:
        self._thread.shutdown()
        self._database.close()

    def _read(self, work: Work[T]) -> T:
        """All that `work` reads is of one moment. Nothing stays open behind it, which would keep the journal from being cut."""
        with explained(self._path):
            self._database.execute("BEGIN")
            try:
                return work(self._database)
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")


class Job:
    """One write, and who waits for it."""

    def __init__(self, work: Work[Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.result: Any = None


class Writer:
    """Writes in the order in which they were asked for. All that have come while one transaction was committed share the next: a commit
    waits for the disk, so that a hundred callers wait once and not a hundred times."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = Lock()  # so that no job comes behind the end
        self._closed = False
        self._thread = Thread(target=self._run, name="telex-writer", daemon=True)
        self._thread.start()

    def do(self, work: Work[T]) -> Future[T]:
        """The future has its result once that is on the disk. `work` may run statements, but no transaction of its own."""
        job = Job(work)
        with self._lock:
            if self._closed:
                return closed(self._path)
            self._jobs.put(job)
        return job.future

    def do_in_steps(self, step: Work[int | None]) -> Future[int]:
        """Do `step` again and again until it returns None, each time behind all that came meanwhile. The future has the sum of what it
        returned; it can't be cancelled."""
        whole: Future[int] = Future()
        whole.set_running_or_notify_cancel()

        def go_on(before: int, last: Future[int | None]) -> None:
            if (error := last.exception()) is not None:
                whole.set_exception(error)
            elif (more := last.result()) is None:
                whole.set_result(before)
            else:
                self.do(step).add_done_callback(partial(go_on, before + more))

        self.do(step).add_done_callback(partial(go_on, 0))
        return whole

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        self._database.close()

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs = [first]
            while len(jobs) < MOST and not self._jobs.empty():
                if (job := self._jobs.get()) is None:
                    self._jobs.put(None)  # the end comes behind this transaction
                    break
                jobs.append(job)
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            while jobs:
                jobs = self._commit(jobs)

    def _commit(self, jobs: list[Job]) -> list[Job]:
        """Tell every job of its result once all are on the disk. One that fails is undone alone; if SQLite gives up the whole transaction
        with it, as when the disk is full, those that are to be done again are returned."""
        execute = self._database.execute
        try:
            execute("BEGIN IMMEDIATE")
            for job in jobs:
                execute("SAVEPOINT job")
                try:
                    job.result = job.work(self._database)
                except Exception as error:
                    job.future.set_exception(explain(error, self._path) if isinstance(error, WRONG) else error)
                    if not self._database.in_transaction:
                        return [job for job in jobs if not job.future.done()]
                    execute("ROLLBACK TO job")
                execute("RELEASE job")
            execute("COMMIT")
        except WRONG as error:
            with suppress(*WRONG):
                execute("ROLLBACK")  # fails if there is nothing to roll back
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(explain(error, self._path))
        for job in jobs:
            if not job.future.done():
                job.future.set_result(job.result)
        return []


def closed(path: Path) -> Future[Any]:
    return failed(StoreError(f"The store {path} is closed."))
