"""The embedded model as the gateway sees it: a child process that is started, watched, restarted and ended."""

import asyncio
import os
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from telex.local.errors import LocalModelError
from telex.local.process import ChildProcess

__all__ = ["Endpoint", "LocalModel", "LocalModelError", "State"]

SILENCE = 120.0  # seconds in which a child that is not ready yet must say something
STEADY = 30.0  # seconds of service after which a death counts as the first
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 15.0  # seconds before a restart
STILLBIRTHS = 4  # children in a row that died before they were ready


class State(StrEnum):
    """Where the embedded model is in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model answers in the OpenAI dialect. It changes with each restart."""

    base_url: str
    api_key: str = field(repr=False)


class LocalModel:
    """A supervised child process that runs the embedded model.

    `slots` requests are answered at once, each with `context` tokens for prompt and reply; more wait inside the child.
    One thread is the fastest choice beside a busy gateway: measured on two cores, a second one made it slower.
    """

    def __init__(self, *, slots: int = 4, context: int = 2048, threads: int = 1) -> None:
        self._wish = {"slots": slots, "context": context, "threads": threads}
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # set while waiting longer is of no use: ready, failed or stopped
        self._pid: int | None = None
        self._enter(State.STOPPED)

    @property
    def state(self) -> State:
        """Where the model is in its life."""
        return self._state

    @property
    def reason(self) -> str | None:
        """Why the model is restarting or has failed, in a sentence for the user."""
        return self._reason

    @property
    def progress(self) -> tuple[int, int] | None:
        """The bytes of the weights that have come and those that there are, while they are being downloaded."""
        return self._progress

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the model answers at this moment, if it does."""
        return self._endpoint

    @property
    def pid(self) -> int | None:
        """The process id of the child at this moment, if there is one."""
        return self._pid

    async def start(self) -> None:
        """Begins to load the model, or to try again after a failure, and returns at once."""
        if self._task is None or self._task.done():
            self._enter(State.STARTING)
            self._task = asyncio.create_task(self._supervise(), name="local-model")

    async def ready(self) -> Endpoint:
        """Waits until the model answers. Raises LocalModelError if it failed or was stopped."""
        while self._endpoint is None:
            await self._settled.wait()
            if self._state in (State.FAILED, State.STOPPED):
                raise LocalModelError(self._reason or "The local model is not running.")
        return self._endpoint

    async def stop(self) -> None:
        """Ends the child and waits until it is gone. May be called at any time, more than once."""
        self._enter(State.STOPPED)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _enter(self, state: State, reason: str | None = None, endpoint: Endpoint | None = None) -> None:
        self._state, self._reason, self._endpoint = state, reason, endpoint
        self._progress: tuple[int, int] | None = None
        if state in (State.READY, State.FAILED, State.STOPPED):
            self._settled.set()
        else:
            self._settled.clear()

    async def _supervise(self) -> None:
        deaths = stillbirths = 0
        try:
            while True:
                served, reason = await self._live_once()
                deaths = 1 if served is not None and served >= STEADY else deaths + 1
                stillbirths = stillbirths + 1 if served is None else 0
                if stillbirths >= STILLBIRTHS:
                    raise LocalModelError(f"{reason} That was try {stillbirths}, so it is not started again.")
                self._enter(State.RESTARTING, reason)
                await asyncio.sleep(min(FIRST_PAUSE * 2 ** (deaths - 1), LONGEST_PAUSE))
        except LocalModelError as error:
            self._enter(State.FAILED, str(error))
        except OSError as error:
            self._enter(State.FAILED, f"The local model's process could not be started: {error.strerror or error}.")
        finally:
            if self._state is not State.FAILED:
                self._enter(State.STOPPED)

    async def _live_once(self) -> tuple[float | None, str]:
        """Runs one child to its end. Returns the seconds that it served (None: it was never ready) and how it ended.

        Raises LocalModelError if the child says that another would fare no better, OSError if it cannot be started.
        """
        child = ChildProcess()
        self._pid = child.pid
        clock = asyncio.get_running_loop().time
        try:
            port = await self._await_ready(child)
            if port is None:
                return None, await child.last_words()
            since = clock()
            while await child.hear() is not None:  # it has nothing more to say than that it ends
                pass
            self._enter(State.RESTARTING, "The local model's process ended.")
            return clock() - since, await child.last_words()
        except TimeoutError:
            return None, f"The local model's process said nothing for {SILENCE:.0f} seconds while it was loading."
        finally:
            self._pid = None
            await child.end()

    async def _await_ready(self, child: ChildProcess) -> int | None:
        """Tells the child what to do and follows its answers until it is ready (returns the port) or at its end (None)."""
        api_key = secrets.token_urlsafe(32)
        await child.instruct({**self._wish, "api_key": api_key, "parent": os.getpid()})
        while True:
            async with asyncio.timeout(SILENCE):
                answer = await child.hear()
            match answer:
                case {"progress": [int(done), int(total)]}:
                    self._progress = (done, total)
                case {"ready": int(port)}:
                    self._enter(State.READY, endpoint=Endpoint(f"http://127.0.0.1:{port}/v1", api_key))
                    return port
                case {"failed": str(sentence)}:
                    raise LocalModelError(sentence)
                case _:
                    return None
