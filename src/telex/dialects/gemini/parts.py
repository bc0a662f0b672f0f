"""Parts of a content to parts of the vocabulary: the same lines for what a caller sends and for what a provider says."""

from __future__ import annotations

import mimetypes
from urllib.parse import urlsplit

from telex.core import json
from telex.core.messages import Fields, Part, PartKind
from telex.dialects.gemini.fields import Node, wrong_type
from telex.dialects.gemini.signatures import NAME, read_signature
from telex.dialects.values import standard_base64

ABOUT = frozenset(
    {
        "thought", "thoughtSignature", "partMetadata", "mediaResolution", "mediaProcessing", "videoMetadata", "audioMetadata",
        "speechMetadata", "documentMetadata", "spreadsheetMetadata",
    }
)  # fmt: skip
"""Fields that say something about a part; any other is what it holds."""

FLOWING = frozenset({"text", "reasoning", "refusal"})
"""Kinds of which neighbours are one part: a stream cuts them anywhere."""

INVALID_JSON = "INVALID_JSON"
"""The one argument of a call whose arguments, as the model wrote them, are no JSON object."""


def to_part(node: Node) -> Part:
    """What a part holds. Raises `WrongField` if it can't be meant."""
    if "functionCall" in node:
        return to_call(node)
    if "functionResponse" in node:
        return to_result(node)
    if "inlineData" in node:
        return to_inline(node)
    if "fileData" in node:
        return to_file(node)
    if "text" not in node and (tool := next((name for name in node if name not in ABOUT), "")):
        return Part("opaque", tool=tool, dialect=NAME, extra=node.wire)
    if not any(name in node for name in ("text", "thought", "thoughtSignature", "partMetadata")):
        raise node.wrong("text", "a part must hold text, inlineData, fileData, a functionCall or a functionResponse")
    return to_text(node)


def to_text(node: Node) -> Part:
    metadata = dict(node.object("partMetadata") or {})
    if (foreign := metadata.pop("provider_part", None)) is not None:
        return to_foreign(Node(foreign, f"{node.where('partMetadata')}.provider_part"))
    refused = metadata.get("refusal") is True
    if refused:
        del metadata["refusal"]
    kind: PartKind = "reasoning" if node.flag("thought") else "refusal" if refused else "text"
    signature, data, dialect = read_signature(node.text("thoughtSignature"))
    extra = node.rest_as_spelled("text", "thought", "thoughtSignature", "partMetadata")
    if metadata:
        extra["partMetadata"] = metadata
    return Part(kind, node.text("text"), data=data, signature=signature, dialect=dialect or (NAME if extra else ""), extra=extra)


def to_foreign(node: Node) -> Part:
    """A part that only its own provider understands, as an answer of Telex brought it."""
    part = node.object("part")
    if part is None:
        raise node.missing("part")
    return Part("opaque", node.text("text"), tool=node.text("tool"), dialect=node.text("dialect"), extra=part)


def about(node: Node, *known: str) -> tuple[str, str, Fields]:
    """(signature, whose, further fields) of a part that is no text."""
    signature, _, dialect = read_signature(node.text("thoughtSignature"))
    extra = node.rest_as_spelled("thoughtSignature", "thought", *known)
    return signature, dialect or (NAME if extra else ""), extra


def to_call(node: Node) -> Part:
    body = Node(node.get("functionCall"), node.where("functionCall"))
    signature, dialect, extra = about(node, "functionCall")
    arguments = json.encode(body.object("args") or {}).decode("utf-8", "surrogatepass")
    return Part("tool_call", arguments, body.text("id"), body.text("name"), "function", signature=signature, dialect=dialect, extra=extra)


def to_result(node: Node) -> Part:
    body = Node(node.get("functionResponse"), node.where("functionResponse"))
    _, _, extra = about(node, "functionResponse")
    extra |= body.rest_as_spelled("id", "name", "response", "parts")
    said, failed = response_text(body.object("response") or {})
    parts = (Part("text", said), *map(to_part, body.nodes("parts")))
    whose = NAME if extra else ""
    return Part("tool_result", id=body.text("id"), name=body.text("name"), parts=parts, is_error=failed, dialect=whose, extra=extra)


def response_text(response: Fields) -> tuple[str, bool]:
    """What a tool answered, and whether it failed: by Google's convention `result` or `output` alone is all of it, `error` a failure."""
    value: object = response
    failed = False
    if len(response) == 1:
        [(name, inner)] = response.items()
        if name in ("result", "output", "error"):
            value, failed = inner, name == "error"
    return value if isinstance(value, str) else json.encode(value).decode("utf-8", "surrogatepass"), failed


def to_inline(node: Node) -> Part:
    body = Node(node.get("inlineData"), node.where("inlineData"))
    media_type, data = body.text("mimeType"), body.text("data")
    if not media_type:
        raise body.missing("mimeType")
    carried = "audio" in (metadata := node.object("partMetadata") or {})
    if (standard := standard_base64(data)) is None and (data or not carried):
        raise body.wrong("data", "it is not base64")
    audio = Node(metadata["audio"] if carried else {}, node.where("partMetadata"))
    signature, dialect, extra = about(node, "inlineData", *(("partMetadata",) if carried else ()))
    id, transcript = audio.text("id"), audio.text("transcript")
    kind, name = kind_of(media_type), body.text("displayName")
    media_type = "" if media_type.endswith("/*") else media_type
    return Part(
        kind,
        transcript,
        id,
        name,
        data=standard or audio.text("data"),
        media_type=media_type,
        signature=signature,
        dialect=dialect,
        extra=extra,
    )


def to_file(node: Node) -> Part:
    body = Node(node.get("fileData"), node.where("fileData"))
    if not (url := body.text("fileUri")):
        raise body.missing("fileUri")
    media_type = body.text("mimeType") or guess_type(url)
    signature, dialect, extra = about(node, "fileData")
    name = body.text("displayName")
    return Part(kind_of(media_type), name=name, url=url, media_type=media_type, signature=signature, dialect=dialect, extra=extra)


def guess_type(url: str) -> str:
    """The media type that a URL's ending suggests; empty if it suggests none."""
    try:
        return mimetypes.guess_type(urlsplit(url).path)[0] or ""
    except ValueError:
        return ""


def kind_of(media_type: str) -> PartKind:
    family = media_type.partition("/")[0].lower()
    return "image" if family == "image" else "audio" if family == "audio" else "file"


def flows_on(last: Part, part: Part) -> bool:
    """Whether `part` goes on with what `last` began: nothing that signs a part may come between."""
    return last.kind == part.kind and part.kind in FLOWING and last.extra == part.extra and not (last.signature or last.data)


def nodes_of(content: Node) -> list[Node]:
    """The parts of a content; a text alone is one too."""
    if isinstance(parts := content.get("parts"), str):
        return [Node({"text": parts}, content.where("parts"))]
    if parts is not None and not isinstance(parts, list | dict):
        raise wrong_type(content.where("parts"), "array", parts)
    return content.nodes("parts")
