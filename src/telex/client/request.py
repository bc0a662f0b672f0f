"""The arguments of a call as a request: what can't be is a `BadRequest` that names the argument."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import msgspec

from telex.client.errors import BadRequest, refuse
from telex.client.reply import Reply
from telex.client.shape import Shape
from telex.config import wrong_limit
from telex.core.messages import Message, Part, Request, Tool, ToolChoice
from telex.dialects.openai_chat.request import MESSAGE_FIELDS, WireMessage, to_choice, to_message, to_tool
from telex.dialects.reading import WrongField, invalid, rest

Prompt: TypeAlias = "str | Sequence[Message | Reply[Any] | Mapping[str, Any]]"
"""A question, or a conversation: messages of the core, replies as they came, or dictionaries as OpenAI's Chat Completions has them."""


class Options(TypedDict, total=False):
    """What a call may say besides the prompt, the model and the `response_format`. None is as good as not said.

    `system`: goes before all messages. `tools`: of the core, or dictionaries with `name`, `description` and `parameters` (a JSON schema),
    bare or as OpenAI has them. `tool_choice`: `auto`, `none`, `required`, or the name of a tool.
    `max_tokens`: of the output, reasoning included. `reasoning`: how hard, in words (`none`, `low`, `medium`, `high`, …), or in tokens.
    `images`: go behind the last message: URLs, bytes, or paths of files. `cache`: a name for prompts that begin alike, a hint.
    `timeouts`: seconds, by the names of the configuration, or one number for everything.
    """

    system: str | None
    tools: Sequence[Tool | Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | ToolChoice | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop: str | Sequence[str] | None
    seed: int | None
    reasoning: str | int | None
    images: Sequence[str | bytes | Path] | None
    cache: str | None
    timeouts: Mapping[str, float] | float | None


def make_request(prompt: Prompt, model: str, shape: Shape[Any] | None, options: Options, stream: bool) -> Request:
    """Raises `BadRequest`."""
    if unknown := options.keys() - Options.__annotations__.keys():
        raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
    reasoning, stop = options.get("reasoning"), options.get("stop")
    return Request(
        model=model,
        messages=with_images(to_messages(prompt, options.get("system")), options.get("images") or ()),
        tools=tuple(tool_of(tool, number) for number, tool in enumerate(options.get("tools") or ())),
        tool_choice=choice_of(options.get("tool_choice")),
        max_tokens=options.get("max_tokens"),
        temperature=options.get("temperature"),
        top_p=options.get("top_p"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        seed=options.get("seed"),
        format=shape.format if shape else None,
        effort=reasoning if isinstance(reasoning, str) else None,
        thinking_budget=reasoning if isinstance(reasoning, int) else None,
        stream=stream,
        include_usage=stream,
        cache_key=options.get("cache"),
    )


def to_messages(prompt: Prompt, system: str | None) -> tuple[Message, ...]:
    before = (Message("system", (Part("text", system),)),) if system else ()
    if isinstance(prompt, str):
        return (*before, Message("user", (Part("text", prompt),)))
    if not prompt:
        raise refuse("messages", "There is nothing to answer: expected at least one message.")
    return (*before, *(message_of(message, number) for number, message in enumerate(prompt)))


def message_of(message: Message | Reply[Any] | Mapping[str, Any], number: int) -> Message:
    if isinstance(message, Message):
        return message
    if isinstance(message, Reply):
        return message.message
    place = f"messages[{number}]"
    try:
        wire = msgspec.convert(dict(message), WireMessage)
        return to_message(wire, rest(dict(message), *MESSAGE_FIELDS), place)
    except WrongField as error:
        raise refuse(error.field, f"Invalid '{error.field}': {error}.") from None
    except msgspec.ValidationError as error:
        raise BadRequest(invalid(str(error), place)) from None
    except (TypeError, ValueError):
        raise refuse(place, f"Invalid '{place}': expected a message.") from None


def tool_of(tool: Tool | Mapping[str, Any], number: int) -> Tool:
    if isinstance(tool, Tool):
        return tool
    place = f"tools[{number}]"
    try:
        return to_tool(dict(tool) if "type" in tool else {"type": "function", "function": dict(tool)}, place)
    except WrongField as error:
        raise refuse(error.field, f"Invalid '{error.field}': {error}.") from None
    except TypeError:
        raise refuse(place, f"Invalid '{place}': expected a tool.") from None


def choice_of(choice: str | Mapping[str, Any] | ToolChoice | None) -> ToolChoice | None:
    match choice:
        case None | ToolChoice():
            return choice
        case "auto" | "none" | "required":
            return ToolChoice(choice)
        case str():
            return ToolChoice("required", (choice,))
    return to_choice(dict(choice))


def with_images(messages: tuple[Message, ...], images: Sequence[str | bytes | Path]) -> tuple[Message, ...]:
    if not images:
        return messages
    *before, last = messages
    if last.role != "user":
        raise refuse("images", "Images belong to a question, so the last message must be the user's.")
    return (*before, msgspec.structs.replace(last, parts=(*last.parts, *map(image_of, images))))


MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


def image_of(image: str | bytes | Path) -> Part:
    if isinstance(image, Path):
        image = read_image(image)
    if isinstance(image, bytes):
        kind = next((kind for magic, kind in MAGIC.items() if image.startswith(magic)), None)
        if kind is None:
            raise refuse("images", "These bytes are no PNG, JPEG, GIF or WebP.")
        return Part("image", data=base64.b64encode(image).decode(), media_type=kind)
    head, comma, data = image.partition(",")
    if head.startswith("data:") and head.endswith(";base64") and comma:
        return Part("image", data=data, media_type=head.removeprefix("data:").removesuffix(";base64"))
    if not image.startswith(("https://", "http://")):
        raise refuse("images", "A string is an image's URL; for a file, give its path as a `pathlib.Path`.")
    return Part("image", url=image)


def read_image(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise refuse("images", f"{path} can't be read: {error.strerror}.") from None


def limits_of(given: Mapping[str, float] | float | None) -> dict[str, float]:
    """The time limits that a call brings with it, in seconds by the names of the configuration."""
    if given is None:
        return {}
    limits = dict(given) if isinstance(given, Mapping) else {"total": given}
    for name, seconds in limits.items():
        if wrong := wrong_limit(name, seconds):
            raise refuse("timeouts", f"{wrong}.")
    return limits
