"""Replies as hypothesis draws them: what any dialect can say, in the order in which one message says it."""

from __future__ import annotations

from binascii import b2a_base64
from itertools import pairwise

from hypothesis import strategies as st

from telex.core.errors import CONSEQUENCES, Failure
from telex.core.messages import Choice, Citation, Finish, Format, Message, Part, Reply, Request, Token, Tool, ToolChoice, Usage
from telex.dialects.failures import TOO_LONG

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
tokens = st.integers(0, 10**6)


ARGUMENTS = ("{}", '{"a":1}', '{"q":"é\\n"}')
FINISHES: dict[str, dict[str, str]] = {
    "openai-chat": {"stop": "stop", "length": "length", "content_filter": "content_filter", "tool_calls": "tool_calls"},
    "anthropic": {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal", "tool_calls": "tool_use"},
    "openai-responses": {"stop": "completed", "length": "max_output_tokens", "content_filter": "content_filter", "tool_calls": "completed"},
    "gemini": {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "STOP"},
}
"""What a reply of each dialect says about its end, by the reason that it means."""


def part(kind: str, dialect: str = "openai-chat") -> st.SearchStrategy[Part]:
    match kind:
        case "tool_call":
            broken = ("", '{"cut') if dialect == "openai-chat" else ()
            arguments = st.sampled_from([*ARGUMENTS, *broken])
            return st.builds(lambda a, i, n: Part("tool_call", a, i, n, "function"), arguments, names, names)
        case "reasoning":
            name = "reasoning_content" if dialect == "openai-chat" else ""
            return words.map(lambda text: Part("reasoning", text, name=name))
    return words.map(lambda text: Part(kind, text))  # type: ignore[arg-type]


@st.composite
def choices(draw: st.DrawFn, index: int, dialect: str = "openai-chat") -> Choice:
    """`dialect`: whose words and shapes."""
    refusals = ("refusal",) if dialect == "openai-chat" else ()
    kinds = [kind for kind in ("reasoning", "text", *refusals) if draw(st.booleans())]
    parts = [draw(part(kind, dialect)) for kind in kinds]
    parts += draw(st.lists(part("tool_call", dialect), max_size=3, unique_by=lambda call: call.id))
    called = any(p.kind == "tool_call" for p in parts)
    reason = "tool_calls" if called else draw(st.sampled_from([word for word in FINISHES[dialect] if word != "tool_calls"]))
    return Choice(index, tuple(parts), Finish(index, reason, FINISHES[dialect][reason]))  # type: ignore[arg-type]


usages = st.builds(lambda i, o, c, w, r: Usage(i + c + w, o + r, c, w, r), tokens, tokens, tokens, tokens, tokens)
plain_words = words.filter(lambda text: not any(phrase in text.lower() for phrase in TOO_LONG))
failures = st.builds(lambda message: Failure("upstream_error", message, type="server_error", code="boom"), plain_words)


@st.composite
def replies(draw: st.DrawFn, dialect: str = "openai-chat") -> Reply:
    """Complete replies that a dialect can say exactly as they are."""
    most = 1 if dialect in ("anthropic", "openai-responses") else 3
    several = tuple(draw(choices(index, dialect)) for index in range(draw(st.integers(1, most))))
    created = 1_700_000_000 if dialect == "openai-chat" else 0
    usage = draw(usages if dialect == "anthropic" else st.none() | usages)
    return Reply("gen-1", "model-1", created, several, usage, dialect=dialect)


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


dialects = st.sampled_from(["", "openai-chat", "anthropic", "gemini"])
citations = st.builds(Citation, words, words, tokens, tokens, st.just("") | words, dialects, extras)
bare_tokens = st.builds(Token, words, st.floats(-20, 0), st.none() | st.lists(st.integers(0, 255), max_size=3).map(tuple))
logprobs = st.lists(
    st.builds(lambda one, top: Token(one.text, one.logprob, one.bytes, tuple(top)), bare_tokens, st.lists(bare_tokens, max_size=2)),
    max_size=2,
).map(tuple)


def any_part() -> st.SearchStrategy[Part]:
    """A part as any dialect may make one for a reply, not only those that some dialect can say."""
    kinds = st.sampled_from(["text", "reasoning", "refusal", "tool_call", "audio", "opaque"])
    text = st.just("") | words
    return st.builds(
        lambda k, t, i, n, d, s, c, w, e: Part(k, t, i, n, data=d, signature=s, citations=tuple(c), dialect=w, extra=e),
        kinds, text, text, text, text, text, st.lists(citations, max_size=2), dialects, extras,
    )  # fmt: skip


@st.composite
def any_replies(draw: st.DrawFn) -> Reply:
    """Any reply that the vocabulary can hold: extras, audio, no choices, failures."""
    several: list[Choice] = []
    for index in sorted(draw(st.sets(st.integers(0, 5), max_size=3))):
        parts = tuple(draw(st.lists(any_part(), max_size=3)))
        finish = draw(st.none() | st.builds(Finish, st.just(index), st.sampled_from(["stop", "length"]), names))
        several.append(Choice(index, parts, finish, draw(logprobs), draw(logprobs), draw(extras)))
    usage = draw(st.none() | st.builds(Usage, tokens, tokens, tokens, tokens, tokens, extras))
    failure = draw(st.none() | anything_failed)
    return Reply(draw(words), draw(words), draw(tokens), tuple(several), usage, failure, draw(dialects), draw(extras))


base64 = st.binary(min_size=1, max_size=9).map(lambda data: b2a_base64(data, newline=False).decode())


def sent_part() -> st.SearchStrategy[Part]:
    """A part of a user's message."""
    return st.one_of(
        words.map(lambda text: Part("text", text)),
        names.map(lambda name: Part("image", url=f"https://example.com/{name}.png")),
        base64.map(lambda data: Part("image", data=data, media_type="image/png", dialect="openai-chat", extra={"detail": "low"})),
        base64.map(lambda data: Part("audio", data=data, media_type="audio/wav")),
        names.map(lambda name: Part("file", id=name)),
        names.map(lambda name: Part("file", name=name, data="AAAA", media_type="application/pdf")),
        json_values.map(lambda value: Part("opaque", tool="hologram", dialect="openai-chat", extra={"type": "hologram", "value": value})),
    )


def sent_messages() -> st.SearchStrategy[Message]:
    said = st.lists(words.map(lambda text: Part("text", text)), max_size=2)
    calls = st.lists(part("tool_call") | st.builds(lambda i, n: Part("tool_call", "x", i, n, "custom"), names, names), max_size=2)
    thought, refused = st.lists(part("reasoning"), max_size=1), st.lists(part("refusal"), max_size=1)
    found = st.lists(words.map(lambda text: Part("text", text)), min_size=1, max_size=2)
    result = st.builds(lambda i, inside: Part("tool_result", id=i, parts=tuple(inside)), names, found)
    legacy = st.builds(lambda n, inside: Part("tool_result", name=n, tool="legacy", parts=tuple(inside)), names, found)
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


tool_choices = st.one_of(
    st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"])),
    st.builds(ToolChoice, st.sampled_from(["auto", "required"]), st.lists(names, min_size=1, max_size=2).map(tuple)),
)


def answerable(messages: list[Message]) -> tuple[Message, ...]:
    """The same, each tool result behind the call that it answers."""
    whole: list[Message] = []
    for message in messages:
        if message.role == "tool":
            [result] = message.parts
            call = Part("tool_call", "{}", result.id, result.name or "f", result.tool or "function")
            whole.append(Message("assistant", (call,)))
        whole.append(message)
    return tuple(whole)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """What a caller may ask for, free of any dialect."""
    stream = draw(st.booleans())
    numbers = st.none() | st.floats(0, 2)
    several = tuple(draw(st.lists(tools, max_size=2)))
    return Request(
        model=draw(words),
        messages=answerable(draw(st.lists(sent_messages(), min_size=1, max_size=3))),
        tools=several,
        tool_choice=draw(st.none() | tool_choices) if several else None,
        parallel_calls=draw(st.none() | st.booleans()) if several else None,
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
        user=draw(st.none() | names),
    )
