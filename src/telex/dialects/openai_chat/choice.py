"""One choice of a reply while it grows: what each chunk says of it, as events."""

from __future__ import annotations

from typing import Any

from telex.core import json
from telex.core.events import Cite, Event, Extra, PartDelta, PartEnd, PartStart
from telex.core.messages import Fields, Finish, Part, PartKind, Reason
from telex.dialects.openai_chat.parts import NAME, split_data_url, to_citation, to_provider_part
from telex.dialects.openai_chat.signatures import read_details, read_signature
from telex.dialects.openai_chat.tokens import read_logprobs
from telex.dialects.quirks import Quirks
from telex.dialects.reading import WrongField
from telex.dialects.values import meaningful

REASONS: dict[str, Reason] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
DELTA_FIELDS = frozenset(
    {"refusal", "reasoning_content", "reasoning", "reasoning_details", "tool_calls", "function_call", "audio", "provider_parts", "index"}
)
LEGACY = -1
"""The index of the one call that a reply could hold before calls had indexes."""


class WrongShape(Exception):
    """JSON, but not of this dialect."""


class OpenCall:
    """A tool call while it grows: it starts as soon as it has a name or arguments."""

    __slots__ = ("id", "part")

    def __init__(self, id: str) -> None:
        self.id = id
        self.part = -1


class OpenChoice:
    """What is known of one choice: the part that text flows into, the calls by their index, how it ended."""

    def __init__(self, index: int, quirks: Quirks) -> None:
        self.index = index
        self._quirks = quirks
        self.parts = 0
        self.flow: tuple[PartKind, str] | None = None
        self.flow_part = -1
        self.audio = -1
        self.calls: dict[int | str, OpenCall] = {}
        self.finish: Finish | None = None

    def read(self, wire: Fields, body: str, events: list[Event]) -> None:
        """One chunk's piece of it. `body`: the field that has the message, or more of it."""
        delta, finish, logprobs = wire.pop(body, None), wire.pop("finish_reason", None), wire.pop("logprobs", None)
        if isinstance(delta, dict):
            message = self._delta(delta, body, events)
        elif delta is None:
            message = None
        else:
            raise WrongShape(f"a {body} is no object")
        if logprobs and (event := read_logprobs(self.index, logprobs)):
            events.append(event)
        if message or any(wire.values()):
            extra = {k: v for k, v in wire.items() if k not in ("delta", "message") and meaningful(v)}
            if message:
                extra["message"] = message
            if extra:
                events.append(Extra(self.index, extra))
        if finish:
            self.stop(str(finish), events)

    def _delta(self, delta: Fields, body: str, events: list[Event]) -> Fields | None:
        """What the delta says; what it holds beyond that is returned."""
        content = delta.pop("content", None)
        delta.pop("role", None)
        more = any(delta.values())
        if more:
            self._reasoning(delta, body, events)
        if isinstance(content, list):
            self._pieces(content, events)
        elif content:
            self._flow("text", "", content, events)
        if not more:
            return None
        if text := delta.get("refusal"):
            self._flow("refusal", "", text, events)
        if isinstance(audio := delta.get("audio"), dict):
            self._audio(audio, events)
        self._beside(delta, events)
        self._calls(delta, body, events)
        return {k: v for k, v in delta.items() if k not in DELTA_FIELDS and meaningful(v)}

    def _reasoning(self, delta: Fields, body: str, events: list[Event]) -> None:
        """Reasoning, and what signs it. Of a whole message that has several thoughts, the details tell them apart."""
        name = "reasoning_content" if delta.get("reasoning_content") else "reasoning"
        text, details = delta.get(name), delta.get("reasoning_details")
        parts = read_details(details) if isinstance(details, list) else []
        if body == "message" and any(p.signature or p.data for p in parts) and "".join(p.text for p in parts) == (text or ""):
            for part in parts:
                self._end_flow(events)
                self._thought(part, name if part.text else "", events)
            return
        if text:
            self._flow("reasoning", name, text, events)
        for part in parts:
            if part.data and part.text and body == "delta" and self.flow and self.flow[0] == "reasoning":  # of the words that were streamed
                events.append(PartDelta(self.index, self.flow_part, "", part.data, part.signature, part.dialect))
                self._end_flow(events)
            elif part.data:
                self._end_flow(events)
                self._thought(part, "", events)
            elif part.signature:
                self._flow("reasoning", name if text else self._flow_name(), "", events)
                events.append(PartDelta(self.index, self.flow_part, signature=part.signature, dialect=part.dialect))
        if any(part.signature for part in parts):  # what is signed is over
            self._end_flow(events)

    def _thought(self, part: Part, name: str, events: list[Event]) -> None:
        index = self.parts
        self.parts += 1
        events.append(PartStart(self.index, index, "reasoning", part.id, name))
        events.append(PartDelta(self.index, index, part.text, part.data, part.signature, part.dialect))
        events.append(PartEnd(self.index, index))

    def _flow_name(self) -> str:
        return self.flow[1] if self.flow and self.flow[0] == "reasoning" else ""

    def _beside(self, delta: Fields, events: list[Event]) -> None:
        """What stands beside the text and has a word too: sources, a signature, images, parts of other providers."""
        if isinstance(annotations := delta.get("annotations"), list):
            delta["annotations"] = [wire for wire in annotations if not self._cite(wire, events)]
        if signature := read_signature(delta):
            del delta["extra_content"]
            self._flow("text", "", "", events)
            events.append(PartDelta(self.index, self.flow_part, signature=signature, dialect="gemini"))
        if isinstance(images := delta.get("images"), list):
            delta["images"] = [wire for wire in images if not self._image(wire, events)]
        for part in parts if isinstance(parts := delta.get("provider_parts"), list) else ():
            try:
                self._opaque(to_provider_part(part, "provider_parts"), events)
            except WrongField as error:
                raise WrongShape(f"{error.field}: {error}") from None

    def _cite(self, wire: Any, events: list[Event]) -> bool:
        """Whether an annotation is a citation, and has been told."""
        if (citation := to_citation(wire)) is None:
            return False
        self._flow("text", "", "", events)
        events.append(Cite(self.index, self.flow_part, citation))
        return True

    def _image(self, wire: Any, events: list[Event]) -> bool:
        body = wire.get("image_url") if isinstance(wire, dict) else None
        url = body.get("url") if isinstance(body, dict) else None
        if not isinstance(url, str):
            return False
        try:
            media_type, data = split_data_url(url, "images")
        except WrongField:
            media_type, data = "", ""
        self._end_flow(events)
        index = self.parts
        self.parts += 1
        events.append(PartStart(self.index, index, "image", url="" if data else url, media_type=media_type))
        if data:
            events.append(PartDelta(self.index, index, data=data))
        events.append(PartEnd(self.index, index))
        return True

    def _opaque(self, part: Part, events: list[Event]) -> None:
        self._end_flow(events)
        index = self.parts
        self.parts += 1
        events.append(PartStart(self.index, index, "opaque", tool=part.tool, dialect=part.dialect, extra=part.extra))
        if part.text:
            events.append(PartDelta(self.index, index, part.text))
        events.append(PartEnd(self.index, index))

    def _calls(self, delta: Fields, body: str, events: list[Event]) -> None:
        calls = delta.get("tool_calls") or []
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            raise WrongShape("its tool calls are no list of objects")
        for place, call in enumerate(calls):
            self._call({**call, "index": place} if body == "message" else call, events)
        if isinstance(function := delta.get("function_call"), dict):
            self._call({"index": LEGACY, "legacy": function}, events)

    def _flow(self, kind: PartKind, name: str, text: object, events: list[Event]) -> None:
        """Text of some kind: it continues the part it flows into, or opens another."""
        if not isinstance(text, str):
            raise WrongShape(f"{name or kind} is not text")
        if self.flow != (kind, name):
            self._end_flow(events)
            self.flow, self.flow_part = (kind, name), self.parts
            self.parts += 1
            events.append(PartStart(self.index, self.flow_part, kind, name=name))
        if text:
            events.append(PartDelta(self.index, self.flow_part, text))

    def _end_flow(self, events: list[Event]) -> None:
        if self.flow is not None:
            events.append(PartEnd(self.index, self.flow_part))
            self.flow = None

    def _pieces(self, pieces: list[Any], events: list[Event]) -> None:
        """Content as a list of typed pieces (text, thinking, and others that are carried as they are)."""
        for piece in pieces:
            kind = piece.get("type") if isinstance(piece, dict) else None
            if kind == "text":
                self._flow("text", "", piece.get("text"), events)
            elif kind == "thinking":
                thought = piece.get("thinking")
                texts = [t.get("text") if isinstance(t, dict) else t for t in thought] if isinstance(thought, list) else [thought]
                for text in texts:
                    self._flow("reasoning", "", text, events)
            elif isinstance(piece, dict):
                self._opaque(Part("opaque", tool=str(kind or ""), dialect=NAME, extra=piece), events)
            else:
                raise WrongShape("a piece of its content is no object")

    def _audio(self, audio: Fields, events: list[Event]) -> None:
        if self.audio < 0:
            self.audio = self.parts
            self.parts += 1
            events.append(PartStart(self.index, self.audio, "audio", id=str(audio.get("id") or "")))
        text, data = audio.get("transcript") or "", audio.get("data") or ""
        if text or data:
            events.append(PartDelta(self.index, self.audio, str(text), str(data)))
        if expires := audio.get("expires_at"):
            events.append(Extra(self.index, {"message": {"audio": {"expires_at": expires}}}))

    def _call(self, wire: Fields, events: list[Event]) -> None:
        """A piece of a tool call. `index` tells calls apart; servers that give every call the same one have a quirk for it: there a new
        id is a new call, and so is a name that comes without one."""
        tool = next((t for t in ("custom", "legacy") if t in wire), "function")
        body = wire.get(tool) or {}
        if not isinstance(body, dict):
            raise WrongShape(f"the {tool} of a tool call is no object")
        id, key, name = str(wire.get("id") or ""), wire.get("index"), str(body.get("name") or "")
        if self._quirks.calls_by_id and name and not id:
            id = f"call_{len(self.calls)}"
        if not isinstance(key, int) or self._quirks.calls_by_id:
            key = id or (next(reversed(self.calls)) if self.calls else 0)
        call = self.calls.get(key)
        if call is not None and call.part >= 0 and name and id and call.id and id != call.id:  # one index for all, as many servers have
            events.append(PartEnd(self.index, call.part))
            call = None
        if call is None:
            call = self.calls[key] = OpenCall(id)
        call.id = call.id or id
        text = body.get("input" if tool == "custom" else "arguments") or ""
        if not isinstance(text, str):
            text = json.encode(text).decode()
        if call.part < 0 and (name or text):
            if not name:  # more of a call that never began
                raise WrongShape("a tool call has no name")
            self._end_flow(events)
            call.part = self.parts
            self.parts += 1
            events.append(PartStart(self.index, call.part, "tool_call", call.id, name, tool))
        if text:
            events.append(PartDelta(self.index, call.part, text))
        if call.part >= 0 and (signature := read_signature(wire)):
            events.append(PartDelta(self.index, call.part, signature=signature, dialect="gemini"))

    def stop(self, raw: str, events: list[Event]) -> None:
        """The reason to stop was said; some say it twice."""
        if self.finish is not None:
            return
        called = any(call.part >= 0 for call in self.calls.values())
        self.end_parts(events)
        reason = REASONS.get(raw, "stop")
        if called and reason == "stop":
            reason = "tool_calls"
            if self._quirks.repair and raw == "stop":
                raw = reason
        self.finish = Finish(self.index, reason, raw)
        events.append(self.finish)

    def end_parts(self, events: list[Event]) -> None:
        """All that is open ends. What still comes of a call or of audio is another."""
        self._end_flow(events)
        calls = [call.part for call in self.calls.values()]
        events += [PartEnd(self.index, part) for part in (*calls, self.audio) if part >= 0]
        self.calls.clear()
        self.audio = -1
