"""The contents of a request to messages: who said what, and which call each tool result answers."""

from __future__ import annotations

from msgspec.structs import replace

from telex.core.messages import Message, Part, Role
from telex.dialects.gemini.fields import Node
from telex.dialects.gemini.parts import flows_on, nodes_of, to_part
from telex.dialects.reading import WrongField

ROLES: dict[str, Role] = {"": "user", "user": "user", "model": "assistant", "function": "user"}


class Calls:
    """The calls of a conversation in their order: they may have no ids, and results may say only the name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._open: list[str] = []
        self._count = 0

    def call(self, part: Part) -> Part:
        id = part.id
        while not id or (not part.id and id in self._names):
            id = f"call_{self._count}"
            self._count += 1
        self._names[id] = part.name
        self._open.append(id)
        return replace(part, id=id)

    def answer(self, part: Part, node: Node) -> Part:
        """The result under the id of its call: that which it says, else the first call of its name that has no answer."""
        id = part.id if part.id in self._names else next((i for i in self._open if self._names[i] == part.name), "")
        if not id:
            raise node.wrong("functionResponse", f"no earlier call of '{part.name}' waits for a response")
        if id in self._open:
            self._open.remove(id)
        return replace(part, id=id, name=part.name or self._names[id])


def to_messages(root: Node) -> tuple[Message, ...]:
    """All that was said. What a client brings back of a stream, content by content, is one message of the model again."""
    if "contents" not in root:
        raise root.missing("contents")
    if not (contents := root.nodes("contents")):
        raise WrongField(root.where("contents"), "empty. Expected at least one content", "empty_array")
    messages: list[Message] = [system] if (system := to_system(root)) else []
    calls = Calls()
    for content in contents:
        if (name := content.text("role")) not in ROLES:
            raise content.wrong("role", "expected 'user' or 'model'")
        role = ROLES[name]
        if role == "assistant":
            said = messages.pop().parts if messages and messages[-1].role == "assistant" else ()
            messages.append(Message("assistant", joined([*said, *said_by_model(content, calls)])))
        else:
            messages.append(said_by_user(content, calls))
    return tuple(messages)


def to_system(root: Node) -> Message | None:
    """`systemInstruction` as a content, as parts or as a text."""
    wire = root.get("systemInstruction")
    if isinstance(wire, str | list):
        wire = {"parts": wire}
    if wire is None:
        return None
    node = Node(wire, root.where("systemInstruction"))
    nodes = [node] if "text" in node else nodes_of(node)
    parts = tuple(part for part in map(to_part, nodes) if part != Part("text"))
    return Message("system", parts) if parts else None


def said_by_model(content: Node, calls: Calls) -> list[Part]:
    parts: list[Part] = []
    for node in nodes_of(content):
        part = to_part(node)
        if part.kind == "tool_result":
            raise node.wrong("functionResponse", "a function's response is the user's to send")
        parts.append(calls.call(part) if part.kind == "tool_call" else part)
    return parts


def joined(parts: list[Part]) -> tuple[Part, ...]:
    """Neighbours that a stream cut apart as one; a text that says nothing is none."""
    whole: list[Part] = []
    for part in parts:
        if part in (Part("text"), Part("reasoning")):
            continue
        if whole and flows_on(whole[-1], part):
            last = whole.pop()
            part = replace(part, text=last.text + part.text, dialect=part.dialect or last.dialect)
        whole.append(part)
    return tuple(whole)


def said_by_user(content: Node, calls: Calls) -> Message:
    """Tool results come first, and are a message of the role `tool` if there is nothing else."""
    nodes = nodes_of(content)
    if not nodes:
        raise WrongField(content.where("parts"), "empty. Expected at least one part", "empty_array")
    results: list[Part] = []
    others: list[Part] = []
    for node in nodes:
        part = to_part(node)
        if part.kind == "tool_call":
            raise node.wrong("functionCall", "only the model calls functions")
        if part.kind == "tool_result":
            results.append(calls.answer(part, node))
        else:
            others.append(replace(part, kind="text") if part.kind in ("reasoning", "refusal") else part)
    return Message("user" if others else "tool", (*results, *others))
