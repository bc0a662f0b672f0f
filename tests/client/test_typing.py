"""What a type checker knows of the library: mypy reads this file with all others, and what it would refuse to believe stands here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from telex import AsyncClient, AsyncJob, AsyncStream, Client, Job, JobStream, Reply, Stream
from telex.core.messages import Reason
from telex.metering.meter import Timing


@dataclass
class City:
    name: str


def blocking(llm: Client) -> None:
    typed = llm.generate("?", model="m", response_format=City, temperature=0.5, timeouts={"total": 1.0})
    assert_type(typed, Reply[City])
    assert_type(typed.parsed, City)
    assert_type(llm.generate("?", model="m"), Reply[Any])
    assert_type(llm.generate([{"role": "user", "content": "?"}, typed], model="m", response_format={"type": "object"}), Reply[Any])
    assert_type(typed.timing, Timing)
    assert_type(typed.finish_reason, Reason | None)
    with llm.stream("?", model="m", response_format=City) as stream:
        assert_type(stream, Stream[City])
        for text in stream:
            assert_type(text, str)
        assert_type(stream.reply().parsed, City)
    job = llm.submit("?", model="m", response_format=City)
    assert_type(job, Job[City])
    assert_type(job.reply(timeout=1.0).parsed, City)
    with job.stream(after=3) as rest:
        assert_type(rest, JobStream[City])
    llm.generate("?", model="m", temprature=0.5)  # type: ignore[call-overload]
    llm.generate("?", model=7)  # type: ignore[call-overload]


async def awaiting(llm: AsyncClient) -> None:
    assert_type(await llm.generate("?", model="m", response_format=City), Reply[City])
    async with llm.stream("?", model="m", response_format=City) as stream:
        assert_type(stream, AsyncStream[City])
        async for text in stream.smoothed():
            assert_type(text, str)
        assert_type((await stream.reply()).parsed, City)
    assert_type(await llm.submit("?", model="m", response_format=City), AsyncJob[City])
    assert_type(llm.job("gen_1"), AsyncJob[Any])


def test_the_functions_above_are_for_the_type_checker() -> None:
    assert callable(blocking)
    assert callable(awaiting)
