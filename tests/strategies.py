"""Replies as hypothesis draws them: what any dialect can say, in the order in which one message says it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from telex.core.errors import CONSEQUENCES, Failure
from telex.core.messages import Choice, Finish, Format, Message, Part, Reply, Request, Tool, Usage

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
tokens = st.integers(0, 10**6)


def part(kind: str) -> st.SearchStrategy[Part]:
    match kind:
        case "tool_call":
            arguments = st.sampled_from(["", "{}", '{"a":1}', '{"q":"é\\n"}', '{"cut'])
            return st.builds(lambda a, i, n: Part("tool_call", a, i, n, "function"), arguments, names, names)
        case "reasoning":
            return words.map(lambda text: Part("reasoning", text, name="reasoning_content"))
    return words.map(lambda text: Part(kind, text))  # type: ignore[arg-type]


@st.composite
def choices(draw: st.DrawFn, index: int) -> Choice:
    kinds = [kind for kind in ("reasoning", "text", "refusal") if draw(st.booleans())]
    parts = [draw(part(kind)) for kind in kinds] + draw(st.lists(part("tool_call"), max_size=3))
    reason = "tool_calls" if any(p.kind == "tool_call" for p in parts) else draw(st.sampled_from(["stop", "length", "content_filter"]))
    return Choice(index, tuple(parts), Finish(index, reason, reason))  # type: ignore[arg-type]


usages = st.builds(lambda i, o, c, r: Usage(i + c, o + r, c, 0, r), tokens, tokens, tokens, tokens)
failures = st.builds(lambda message: Failure("upstream_error", message, type="server_error", code="boom"), words)


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    several = tuple(draw(choices(index)) for index in range(draw(st.integers(1, 3))))
    return Reply("gen-1", "model-1", 1700000000, several, draw(st.none() | usages))


def cuts(data: bytes) -> st.SearchStrategy[list[int]]:
    """Places at which to cut `data`."""
    return st.lists(st.integers(0, len(data)), max_size=40).map(sorted)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
extras = st.dictionaries(names.map("x_{}".format), json_values, max_size=2)
anything_failed = st.builds(Failure, st.sampled_from(list(CONSEQUENCES)), words, names, names, names)


def any_part() -> st.SearchStrategy[Part]:
    """A part as any dialect may make one for a reply, not only those that some dialect can say."""
    kinds = st.sampled_from(["text", "reasoning", "refusal", "tool_call", "audio", "opaque"])
    text = st.just("") | words
    return st.builds(lambda k, t, i, n, d, s: Part(k, t, i, n, data=d, signature=s), kinds, text, text, text, text, text)


@st.composite
def any_replies(draw: st.DrawFn) -> Reply:
    """Any reply that the vocabulary can hold: extras, audio, no choices, failures."""
    several: list[Choice] = []
    for index in sorted(draw(st.sets(st.integers(0, 5), max_size=3))):
        parts = tuple(draw(st.lists(any_part(), max_size=3)))
        finish = draw(st.none() | st.builds(Finish, st.just(index), st.sampled_from(["stop", "length"]), names))
        several.append(Choice(index, parts, finish, draw(extras)))
    usage = draw(st.none() | st.builds(Usage, tokens, tokens, tokens, tokens, tokens, extras))
    return Reply(draw(words), draw(words), draw(tokens), tuple(several), usage, draw(st.none() | anything_failed), draw(extras))


def sent_part() -> st.SearchStrategy[Part]:
    """A part of a user's message."""
    return st.one_of(
        words.map(lambda text: Part("text", text)),
        names.map(lambda name: Part("image", url=f"https://example.com/{name}.png")),
        names.map(lambda data: Part("image", data=data, media_type="image/png", extra={"detail": "low"})),
        names.map(lambda data: Part("audio", data=data, media_type="audio/wav")),
        names.map(lambda name: Part("file", id=name)),
        names.map(lambda name: Part("file", name=name, data="AAAA", media_type="application/pdf")),
        json_values.map(lambda value: Part("opaque", extra={"type": "hologram", "value": value})),
    )


def sent_messages() -> st.SearchStrategy[Message]:
    said = st.lists(words.map(lambda text: Part("text", text)), max_size=2)
    calls = st.lists(part("tool_call") | st.builds(lambda i, n: Part("tool_call", "x", i, n, "custom"), names, names), max_size=2)
    thought, refused = st.lists(part("reasoning"), max_size=1), st.lists(part("refusal"), max_size=1)
    result = st.builds(lambda i, inside: Part("tool_result", id=i, parts=tuple(inside)), names, said)
    legacy = st.builds(lambda n, inside: Part("tool_result", name=n, tool="legacy", parts=tuple(inside)), names, said)
    return st.one_of(
        st.builds(
            lambda role, parts, name: Message(role, tuple(parts), name),
            st.sampled_from(["user", "system", "developer"]),
            st.lists(sent_part(), max_size=3),
            st.just("") | names,
        ),
        st.builds(lambda a, b, c, d: Message("assistant", (*a, *b, *c, *d)), thought, said, refused, calls),
        (result | legacy).map(lambda one: Message("tool", (one,))),
    )


schemas = st.dictionaries(names, json_values, max_size=2)
tools = st.builds(Tool, names, st.just("") | words, st.none() | schemas, st.none() | st.booleans()) | names.map(
    lambda name: Tool(kind="custom", extra={"type": "custom", "custom": {"name": name}})
)
formats = st.builds(Format, st.sampled_from(["text", "json"])) | st.builds(
    Format, st.just("json_schema"), names, st.just("") | words, st.none() | schemas, st.none() | st.booleans()
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """What a caller may ask for, free of any dialect."""
    stream = draw(st.booleans())
    numbers = st.none() | st.floats(0, 2)
    return Request(
        model=draw(words),
        messages=tuple(draw(st.lists(sent_messages(), min_size=1, max_size=3))),
        tools=tuple(draw(st.lists(tools, max_size=2))),
        tool_choice=draw(st.none() | st.sampled_from(["auto", "none", "required"]) | names.map(lambda name: {"name": name})),
        parallel_calls=draw(st.none() | st.booleans()),
        choices=draw(st.integers(1, 3)),
        max_tokens=draw(st.none() | st.integers(1, 10**6)),
        temperature=draw(numbers),
        top_p=draw(numbers),
        stop=tuple(draw(st.lists(words, max_size=2))),
        seed=draw(st.none() | st.integers(-(10**30), 10**30)),
        frequency_penalty=draw(numbers),
        presence_penalty=draw(numbers),
        logprobs=draw(st.none() | st.booleans()),
        top_logprobs=draw(st.none() | st.integers(0, 20)),
        format=draw(st.none() | formats),
        effort=draw(st.none() | st.sampled_from(["low", "high"])),
        stream=stream,
        include_usage=stream,
        extra=draw(extras),
    )
