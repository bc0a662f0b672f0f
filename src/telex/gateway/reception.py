"""From a request to its generation: found again by its Idempotency-Key or made, given its place, and kept if somebody may come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from telex.config import Config
from telex.core.errors import Failure
from telex.core.keys import Key
from telex.core.messages import Request
from telex.dialects import DIALECTS, Dialect, openai_responses
from telex.dialects.operation import Operation
from telex.gateway.access import key_of
from telex.gateway.admission import Admission
from telex.gateway.archive import Archive, unreadable
from telex.gateway.asgi import CLOSED, Receive, Scope
from telex.gateway.conversations import Conversations, Turn, asks_background
from telex.gateway.entries import Entry
from telex.gateway.intake import check_overrides, headers_of, read_body
from telex.gateway.keyed import Claim, Keyed, digest_of
from telex.gateway.wishes import Wishes, read_wishes
from telex.generation.cursor import LOST
from telex.generation.engine import Engine
from telex.generation.generation import Generation
from telex.generation.kept import KeptLog
from telex.limits.table import Holder, Limits
from telex.stores.ports import Saved, StoreError

STORED = openai_responses.NAME
"""The dialect whose replies can be asked for again."""

ENDED = Failure("truncated", "Telex ended while it ran, so the answer ends here.", code=LOST)


class Accepted(Struct, frozen=True):
    """`later`: its client does not wait for it, or for so many seconds (`wait`). `again`: it was asked for before, with the same key.
    `native`: that it is not waited for was said in the dialect's own way."""

    entry: Entry
    later: bool = False
    wait: float = 0.0
    again: bool = False
    native: bool = False


class Question(Struct, frozen=True):
    """A request as it came: what its path says, its `headers` by their lower-case names, and its body."""

    dialect: str
    operation: Operation
    headers: dict[str, str]
    body: bytes


class Job(Struct, frozen=True):
    """What it takes to run one that was accepted; of its headers only the dialect's own."""

    question: Question
    limits: dict[str, float]


class Reception:
    """One for all requests. `config`: the one that holds now. `draining`: whether nothing may begin any more."""

    def __init__(
        self,
        config: Callable[[], Config],
        engine: Engine,
        archive: Archive,
        keyed: Keyed,
        admission: Admission,
        conversations: Conversations,
    ) -> None:
        self.draining = False
        self._config = config
        self._engine = engine
        self._archive = archive
        self._admission = admission
        self._conversations = conversations
        self._keyed = keyed
        self._waiting: set[asyncio.Task[None]] = set()  # those that another process accepted, for which there is no room yet

    def drain(self) -> None:
        """Nothing may begin any more."""
        self.draining = True
        for task in self._waiting:
            task.cancel()

    async def accept(self, id: str, dialect: Dialect, operation: Operation, scope: Scope, receive: Receive) -> Accepted | Failure:
        """The generation that a request asks for. Raises `ClientLeft`."""
        headers, owner = headers_of(scope), key_of(scope).id
        wishes = read_wishes(headers)
        if isinstance(wishes, Failure):
            return wishes
        body = await read_body(scope, receive, self._config().server.body_limit)
        if isinstance(body, Failure):
            return body
        question = Question(dialect.NAME, operation, headers, body)
        if not wishes.key:
            return await self._make(id, key_of(scope), question, wishes, b"", None)
        digest = digest_of(scope["path"], scope["query_string"].decode("latin-1"), body)
        claim = await self._keyed.claim(owner, wishes.key, digest)
        if isinstance(claim, Failure):
            return claim
        if not isinstance(claim, Claim):
            native = dialect.NAME == STORED and not wishes.later and asks_background(body)
            return Accepted(claim, wishes.later or (native and claim.outline.reading.whole), wishes.wait, True, native)
        try:
            return await self._make(id, key_of(scope), question, wishes, digest, claim)
        finally:
            claim.settle(None)  # unless there is a generation

    async def read(self, question: Question, owner: str) -> tuple[Request, Turn | None] | Failure:
        """The request that it is, and of which conversation the turn."""
        turn = await self._read_turn(owner, question.body) if question.dialect == STORED else None
        if isinstance(turn, Failure):
            return turn
        body = turn.body if turn else question.body
        request = DIALECTS[question.dialect].decode_request(body, question.operation, question.headers)
        if isinstance(request, Failure):
            return request
        return check_overrides(request) or (request, turn)

    async def _read_turn(self, owner: str, body: bytes) -> Turn | Failure:
        try:
            return await self._conversations.read(owner, body)
        except StoreError as error:
            return unreadable(error)

    async def resume(self, keys: list[Key]) -> None:
        """What another process left: what it had begun has ended, and what it had only accepted begins here. Raises `StoreError`."""
        owners = {key.id: key for key in keys}
        for saved in await self._archive.unfinished():
            if saved.begun or not saved.request:
                await self._archive.end_lost(saved, ENDED)
            else:
                await self._restart(saved, owners.get(saved.owner, Key(saved.owner, saved.owner)))

    async def _restart(self, saved: Saved, key: Key) -> None:
        job = msgspec.msgpack.decode(saved.request, type=Job)
        read = await self.read(job.question, saved.owner)
        if isinstance(read, Failure):
            await self._archive.end_lost(saved, read)
            return
        request, turn = read
        generation = await self._engine.begin(saved.id, request, job.limits, "finish", key.models, keep=True)
        if isinstance(generation, Failure):
            await self._archive.end_lost(saved, generation)
            return
        generation.owner, generation.background = saved.owner, True
        if turn is not None:
            self._conversations.begin(generation, turn)
        self._archive.add(generation)
        self._archive.keeper.take_over(generation, saved)
        task = asyncio.create_task(self._go_on(generation, holder_of(key)))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _go_on(self, generation: Generation, owner: Holder) -> None:
        """It was accepted, so no limit refuses it now: it waits until there is room."""
        while not (generation.ended or self.draining):
            refused = self._admission.enter(generation, owner)
            if refused is None:
                self._admission.go(generation, lambda: self._archive.keeper.begin(generation))
                return
            if refused.retry_after is None:
                generation.stop(refused)
            else:
                await asyncio.sleep(refused.retry_after)

    async def _make(self, id: str, key: Key, question: Question, wishes: Wishes, digest: bytes, claim: Claim | None) -> Accepted | Failure:
        read = await self.read(question, key.id)
        if isinstance(read, Failure):
            return read
        request, turn = read
        native = bool(turn and turn.asked.background)
        background = native or wishes.later
        policy, keep = "finish" if background else wishes.policy, bool(claim) or background
        generation = await self._engine.begin(id, request, wishes.limits, policy, key.models, keep)
        if isinstance(generation, Failure):
            return generation
        if self.draining:
            return CLOSED
        generation.owner, generation.background = key.id, background
        if turn is not None:
            self._conversations.begin(generation, turn)
        if claim is not None:
            claim.settle(generation)
        job = Job(replace(question, headers=request.headers), wishes.limits)
        await self._place(generation, holder_of(key), wishes.key, digest, job)
        later = wishes.later or (native and not request.stream)
        return Accepted(self._archive.live(generation), later, wishes.wait, False, native and not wishes.later)

    async def _place(self, generation: Generation, owner: Holder, key: str, digest: bytes, job: Job) -> None:
        """Let it run, now or when its turn comes; or it has ended with why it may not."""
        self._archive.add(generation)
        keeper = self._archive.keeper
        refused = self._admission.enter(generation, owner)
        if refused is None and generation.background:
            refused = await keeper.accept(generation, key, digest, msgspec.msgpack.encode(job))
        if refused is not None:
            generation.stop(refused)
        elif generation.background:
            self._admission.go(generation, lambda: keeper.begin(generation))
        else:
            if isinstance(generation.log, KeptLog):
                keeper.keep(generation, key, digest)
            self._admission.go(generation)


def holder_of(key: Key) -> Holder:
    """Whose limits are a request's; where access is open, all requests are one owner's."""
    return Holder("key", key.name, Limits(key.rpm, key.tpm, key.concurrent), key.id)
