"""Replies as hypothesis draws them: what any dialect can say, in the order in which one message says it."""

from __future__ import annotations

from hypothesis import strategies as st

from telex.core.errors import Failure
from telex.core.messages import Choice, Finish, Part, Reply, Usage

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
    return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]
