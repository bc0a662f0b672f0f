"""Messages to the items of `input`: one message of the vocabulary may be several items here."""

from __future__ import annotations

from telex.core.messages import Fields, Keeping, Message, Part
from telex.dialects.openai_chat.body import audio_format
from telex.dialects.openai_chat.caching import marked
from telex.dialects.openai_responses.parts import CONTENT_TYPE, NAME, own

FILE_NAMES = {"application/pdf": "document.pdf", "text/plain": "document.txt"}
"""Names for files that came without one: here they must have one."""
REASONING_ID = "rs_"
"""How an id of reasoning begins that this dialect accepts."""


class History:
    """`add` its messages in order; `items` is the input."""

    def __init__(self) -> None:
        self.items: list[Fields] = []
        self._custom: set[str] = set()  # ids of calls of free-text tools: their results have a type of their own
        self._unnamed: dict[str, str] = {}  # tools that were called without an id, and the id that this call has here

    def add(self, message: Message) -> None:
        if message.role == "assistant":
            self._turn(message.parts)
            return
        results = [part for part in message.parts if part.kind == "tool_result"]
        self.items += [self._result(part) for part in results]
        others = [part for part in message.parts if part.kind != "tool_result"]
        if others or not results:
            role = "user" if message.role == "tool" else message.role
            self.items.append({"type": "message", "role": role, "content": contents(others)})

    def _turn(self, parts: tuple[Part, ...]) -> None:
        """What the model said: its words, between its thoughts and its calls. Media it made are shown to it as the user's."""
        words: list[Fields] | None = None  # of the message that is being written
        thoughts: list[Part] = []  # without what makes them worth bringing back: they may belong to the next
        for part in parts:
            if part.kind in ("text", "refusal"):
                if not part.text:  # many write "" beside calls, and no other item may stand between a thought and its call
                    continue
                if words is None:
                    words = []
                    self.items.append({"type": "message", "role": "assistant", "content": words})
                words.append({"type": "refusal", "refusal": part.text} if part.kind == "refusal" else output_text(part.text))
                continue
            thoughts = [*thoughts, part] if part.kind == "reasoning" else []
            if items := self._item(part, thoughts):
                self.items += items
                words, thoughts = None, []

    def _item(self, part: Part, thoughts: list[Part]) -> list[Fields]:
        """What is an item of its own; none, of what can't be brought back."""
        mine = part.dialect == NAME
        match part.kind:
            case "tool_call":
                return [self._call(part)]
            case "reasoning":
                return [reasoning(part, thoughts)] if mine and part.data else []
            case "opaque":
                return [part.extra] if mine else []
            case "image" if mine and part.data and "id" in part.extra:
                return [{"type": "image_generation_call", "status": "completed", "result": part.data, **part.extra}]
            case "image" | "audio" | "file":
                return [{"type": "message", "role": "user", "content": contents([part])}]
        return []

    def _call(self, part: Part) -> Fields:
        id = part.id
        if not id:
            id = self._unnamed[part.name] = f"call_{len(self.items)}"
        if part.tool == "custom":
            self._custom.add(id)
            return {"type": "custom_tool_call", "call_id": id, "name": part.name, "input": part.text}
        return {"type": "function_call", "call_id": id, "name": part.name, "arguments": part.text}

    def _result(self, part: Part) -> Fields:
        id = part.id or self._unnamed.get(part.name, "")
        kind = "custom_tool_call_output" if id in self._custom else "function_call_output"
        return {"type": kind, "call_id": id, "output": contents(list(part.parts), part.cache) or ""}


def reasoning(part: Part, thoughts: list[Part]) -> Fields:
    """An item of reasoning: `part` has what is encrypted, and those before it with its id are its other pieces."""
    pieces = [thought for thought in thoughts if thought.text and (thought is part or (thought.id and thought.id == part.id))]
    shown = [piece for piece in pieces if own(piece).get("type") == CONTENT_TYPE]
    item: Fields = {"type": "reasoning"}
    if part.id.startswith(REASONING_ID):
        item["id"] = part.id
    item["summary"] = [{"type": "summary_text", "text": piece.text} for piece in pieces if piece not in shown]
    if shown:
        item["content"] = [{"type": CONTENT_TYPE, "text": piece.text} for piece in shown]
    return {**item, "encrypted_content": part.data}


def takes_mark(part: Part, message: Message) -> bool:
    """The model's own words and calls can't be marked, nor audio; of a result its last piece is."""
    if part.kind == "tool_result":
        return bool(part.parts) and is_markable(part.parts[-1])
    return message.role != "assistant" and is_markable(part)


def is_markable(part: Part) -> bool:
    return bool(part.text) if part.kind == "text" else part.kind in ("image", "file")


def contents(parts: list[Part], life: Keeping | None = None) -> str | list[Fields]:
    """Content that is nothing but one text, as a string. `life`: of the mark behind all of it."""
    pieces = [marked(piece, part.cache) for part in parts if (piece := content(part)) is not None]
    pieces = [*pieces[:-1], *(marked(piece, life) for piece in pieces[-1:])]
    alone = len(pieces) == 1 and pieces[0].keys() == {"type", "text"}
    return pieces[0]["text"] if alone else pieces


def content(part: Part) -> Fields | None:
    """A piece of what the model is given; None of what can't be."""
    match part.kind:
        case "text" | "refusal" | "reasoning":
            return {"type": "input_text", "text": part.text}
        case "image":
            return {"type": "input_image", "image_url": part.url or data_url(part)}
        case "audio":
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": audio_format(part.media_type)}}
        case "file" if part.url:
            return {"type": "input_file", "file_url": part.url}
        case "file":
            name = part.name or FILE_NAMES.get(part.media_type, "document")
            return {"type": "input_file", "filename": name, "file_data": data_url(part)}
        case "opaque" if part.dialect == NAME:
            return part.extra
    return None


def data_url(part: Part) -> str:
    return f"data:{part.media_type};base64,{part.data}"


def output_text(text: str) -> Fields:
    return {"type": "output_text", "text": text, "annotations": []}
