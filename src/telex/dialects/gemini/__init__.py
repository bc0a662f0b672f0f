"""Gemini's generateContent, as the Gemini API and Vertex AI speak it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qs

from telex.core import json
from telex.core.messages import Fields, Request
from telex.dialects.gemini import count
from telex.dialects.gemini.body import encode_request
from telex.dialects.gemini.decoder import Decoder
from telex.dialects.gemini.encoder import Encoder
from telex.dialects.gemini.errors import decode_error, encode_error, status_of
from telex.dialects.gemini.names import model_path, resource
from telex.dialects.gemini.reply import encode_reply
from telex.dialects.gemini.request import decode_request
from telex.dialects.gemini.signatures import NAME
from telex.dialects.operation import Operation

__all__ = [
    "AUTH",
    "CONTENT",
    "COUNT",
    "DEFAULTS",
    "ESSENTIAL",
    "FIELDS",
    "FIRST_NUMBER",
    "KEEP_ALIVE",
    "MARKS",
    "MODELS",
    "NAME",
    "PLACE",
    "REPLY_ID",
    "REQUEST_ID",
    "SYSTEM",
    "TERMINATOR",
    "Decoder",
    "Encoder",
    "decode_error",
    "decode_models",
    "decode_request",
    "encode_error",
    "encode_model",
    "encode_models",
    "encode_reply",
    "encode_request",
    "find_operation",
    "generate_path",
    "request_headers",
    "status_of",
]

FIELDS = {
    "max_tokens": "generationConfig.maxOutputTokens",
    "tools": "tools",
    "tool_choice": "toolConfig.functionCallingConfig",
    "choices": "generationConfig.candidateCount",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "presence_penalty": "generationConfig.presencePenalty",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "format.json": "generationConfig.responseMimeType",
    "format.json_schema": "generationConfig.responseJsonSchema",
    "effort": "generationConfig.thinkingConfig.thinkingLevel",
    "thinking_budget": "generationConfig.thinkingConfig.thinkingBudget",
    "show_thinking": "generationConfig.thinkingConfig.includeThoughts",
}
CONTENT = frozenset({"image.data", "image.url", "audio", "file.data", "file.url", "reasoning", "arguments.object", "tool_result.is_error"})
ESSENTIAL = frozenset(
    {
        "cachedContent", "continuationToken", "generationConfig.responseModalities", "generationConfig.responseMimeType",
        "generationConfig.responseFormat", "generationConfig.speechConfig", "generationConfig.imageConfig",
        "generationConfig.translationConfig", "generationConfig.audioTranscriptionConfig",
    }
)  # fmt: skip
"""What the prompt is or what comes out; the rest (safety settings, labels, tiers) is how."""

PLACE, SYSTEM = ("contents", "parts", "parts"), "systemInstruction"
MARKS = None
"""It keeps prompts unasked; what it was given to keep has a name, which is another thing."""

DEFAULTS: Fields = {}
MODELS, AUTH, REQUEST_ID = "/models?pageSize=1000", "x-goog-api-key", ""
REPLY_ID = ""
COUNT = count

KEEP_ALIVE = b"\r\n"
"""A bare empty line: the official SDK fails on comments."""

TERMINATOR = b""
FIRST_NUMBER = 1

PATH = re.compile(
    r"/v1(?:beta|alpha|beta1)?/(?:(?:projects/[^/]+/locations/[^/]+/)?publishers/google/)?"
    r"(?:(?P<kind>models|tunedModels)/)?(?P<model>.+):(?P<verb>generateContent|streamGenerateContent|countTokens)",
    re.DOTALL,
)


def find_operation(path: str, query: str) -> Operation | None:
    if (match := PATH.fullmatch(path)) is None:
        return None
    model = f"tunedModels/{match['model']}" if match["kind"] == "tunedModels" else match["model"].removeprefix("models/")
    if match["kind"] is None and "/" not in model:  # some SDKs leave `models/` out where a name has a slash
        return None
    if match["verb"] != "streamGenerateContent":
        return Operation(model, kind="count" if match["verb"] == "countTokens" else "generate")
    return Operation(model, True, "sse" if "sse" in parse_qs(query).get("alt", ()) else "json-array")


def generate_path(model: str, stream: bool) -> str:
    return model_path(model, "streamGenerateContent?alt=sse" if stream else "generateContent")


def request_headers(request: Request | None) -> dict[str, str]:
    return {}


def model_object(name: str) -> dict[str, object]:
    return {"name": resource(name), "displayName": name, "supportedGenerationMethods": ["generateContent", "countTokens"]}


def encode_models(models: Iterable[tuple[str, str]], created: int) -> bytes:
    """The list of models, each a name and its owner. Neither that nor when it was made has a field here."""
    return json.encode({"models": [model_object(name) for name, _ in models]})


def encode_model(name: str, owner: str, created: int) -> bytes:
    return json.encode(model_object(name))


def decode_models(body: bytes) -> list[str]:
    """The names in a list of models. Raises `Malformed` if it is none."""
    value = json.decode(body)
    models = value.get("models") if isinstance(value, dict) else None
    if not isinstance(models, list):
        raise json.Malformed("it is no list of models")
    names = [model["name"] for model in models if isinstance(model, dict) and isinstance(model.get("name"), str)]
    return [name.removeprefix("models/") for name in names]
