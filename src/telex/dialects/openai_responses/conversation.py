"""The items of `input` to messages: what the model said in one turn is several items here, and one message of the vocabulary."""

from __future__ import annotations

from typing import get_args

from msgspec.structs import replace

from telex.core.messages import Fields, Keeping, Message, Part, Role
from telex.dialects.marks import hoist_marks
from telex.dialects.openai_chat.parts import to_provider_part
from telex.dialects.openai_responses.parts import CONTENT_TYPE, NAME, extras, own, to_part, to_picture
from telex.dialects.reading import WrongField, rest, said, text
from telex.dialects.seal import unseal

ROLES: tuple[Role, ...] = tuple(role for role in get_args(Role) if role != "tool")
NOT_THE_MODELS = frozenset(
    {
        "apply_patch_call_output", "compaction", "compaction_trigger", "computer_call_output", "configuration_update",
        "item_reference", "local_shell_call_output", "mcp_approval_response", "shell_call_output",
    }
)  # fmt: skip
"""Items without which the conversation is another one: what only their provider understands must not be left out of it."""
SIGNS_PARTS = "gemini"
"""The dialect whose signatures belong to the part before them; those of the others to reasoning."""


class Conversation:
    """`add` its items in order; `messages` has those that are closed. `whole`: all of it is here, so each result follows its call.
    `usual`: how long marks last that do not say."""

    def __init__(self, whole: bool, usual: Keeping) -> None:
        self.messages: list[Message] = []
        self._whole, self._usual = whole, usual
        self._turn: list[Part] = []  # what the model said since somebody else did
        self._called: set[str] = set()

    def add(self, item: Fields, place: str) -> None:
        kind = item.get("type", "message" if "role" in item else None)
        match kind:
            case "message":
                self._message(item, place)
            case "reasoning":
                self._reasoning(item, place)
            case "function_call" | "custom_tool_call":
                call = to_call(item, kind, place)
                self._called.add(call.id)
                self._turn.append(call)
            case "function_call_output" | "custom_tool_call_output":
                self._result(item, kind, place)
            case "provider_part":
                self._turn.append(to_provider_part(item, place))
            case str():
                self._other(item, kind)
            case _:
                raise WrongField(f"{place}.type", "expected str")

    def close(self) -> None:
        """The model's turn is over."""
        if self._turn:
            self.messages.append(Message("assistant", tuple(self._turn)))
            self._turn = []

    def _message(self, item: Fields, place: str) -> None:
        role = item.get("role")
        if role not in ROLES:
            raise WrongField(f"{place}.role", f"expected one of {', '.join(ROLES)}")
        parts, extra = to_content(item, "content", place, self._usual), rest(item, "type", "role", "content", "id", "status")
        if role != "assistant":
            self.close()
            self.messages.append(Message(role, tuple(parts), extra=extra))
            return
        if extra and parts and parts[0].kind in ("text", "refusal"):
            parts[0] = replace(parts[0], **extras(own(parts[0]) | extra))
        self._turn += parts

    def _reasoning(self, item: Fields, place: str) -> None:
        parts = to_reasoning(item, place)
        if len(parts) == 1 and self._turn and parts[0].dialect == SIGNS_PARTS and parts[0].signature and not parts[0].text:
            signed = self._turn[-1]
            extra = signed.extra if signed.dialect == SIGNS_PARTS else {}
            self._turn[-1] = replace(signed, signature=parts[0].signature, dialect=SIGNS_PARTS, extra=extra)
        else:
            self._turn += parts

    def _result(self, item: Fields, kind: str, place: str) -> None:
        self.close()
        id = text(item, "call_id", place)
        if self._whole and id not in self._called:
            raise WrongField(f"{place}.call_id", "no earlier item of the input made this call")
        tool = "custom" if kind == "custom_tool_call_output" else ""
        more = extras(rest(item, "type", "id", "status", "call_id", "output"))
        held = tuple(to_content(item, "output", place, self._usual))
        self.messages.append(Message("tool", (hoist_marks(Part("tool_result", id=id, tool=tool, parts=held, **more)),)))

    def _other(self, item: Fields, kind: str) -> None:
        if kind == "additional_tools":  # they are among the request's
            return
        picture = to_picture(item) if kind == "image_generation_call" else None
        part = picture or Part("opaque", tool=kind, dialect=NAME, extra=item)
        if kind in NOT_THE_MODELS or item.get("role", "assistant") != "assistant":
            self.close()
            self.messages.append(Message("user", (part,)))
        else:
            self._turn.append(part)


def to_content(item: Fields, field: str, place: str, usual: Keeping) -> list[Part]:
    """Content as a string or as a list of pieces."""
    content = item.get(field)
    if isinstance(content, str):
        return [Part("text", content)]
    if not isinstance(content, list):
        raise WrongField(f"{place}.{field}", "expected str or array")
    parts: list[Part] = []
    for number, piece in enumerate(content):
        where = f"{place}.{field}[{number}]"
        if not isinstance(piece, dict):
            raise WrongField(where, "expected object")
        before = sum(len(part.text) for part in parts if part.kind == "text")
        parts.append(to_part(piece, where, before, usual))
    return parts


def to_call(item: Fields, kind: str, place: str) -> Part:
    tool, field = ("custom", "input") if kind == "custom_tool_call" else ("function", "arguments")
    said_by_model = said(item, field, place, str) or ""
    more = extras(rest(item, "type", "id", "status", "call_id", "name", field))
    return Part("tool_call", said_by_model, text(item, "call_id", place), text(item, "name", place), tool, **more)


def to_reasoning(item: Fields, place: str) -> list[Part]:
    """What the model thought, a part for each piece of it; what is encrypted is the last part's."""
    id = said(item, "id", place, str) or ""
    more = rest(item, "type", "id", "status", "summary", "content", "encrypted_content")
    parts: list[Part] = []
    for field, marks in (("summary", {}), ("content", {"type": CONTENT_TYPE})):
        for number, piece in enumerate(said(item, field, place, list) or ()):
            where = f"{place}.{field}[{number}]"
            if not isinstance(piece, dict):
                raise WrongField(where, "expected object")
            if words := text(piece, "text", where):
                parts.append(Part("reasoning", words, id, **extras(more | marks)))
    parts = parts or [Part("reasoning", id=id, **extras(more))]
    if encrypted := said(item, "encrypted_content", place, str):
        dialect, value, data = unseal(encrypted)
        kept = own(parts[-1]) if not dialect else {}
        named = {"data": value} if data or not dialect else {"signature": value}
        parts[-1] = replace(parts[-1], dialect=dialect or NAME, extra=kept, **named)
    return parts
