"""Errors of Responses: those of Chat Completions, and what a response or its stream says when it fails."""

from __future__ import annotations

from msgspec.structs import replace

from telex.core.errors import Failure
from telex.core.messages import Fields
from telex.dialects.failures import read_failure
from telex.dialects.openai_chat.errors import decode_error, encode_error, error_object, status_of
from telex.dialects.reading import rest

__all__ = ["decode_error", "encode_error", "error_object", "error_of_response", "read_error", "status_of"]

REQUEST_CODES = frozenset(
    {
        "bio_policy", "data_residency_mismatch", "empty_image_file", "failed_to_download_image", "image_content_policy_violation",
        "image_file_not_found", "image_file_too_large", "image_parse_error", "image_too_large", "image_too_small", "invalid_base64_image",
        "invalid_image", "invalid_image_format", "invalid_image_mode", "invalid_image_url", "invalid_prompt",
        "misalignment_policy_violation", "previous_response_not_found", "unsupported_image_media_type",
    }
)  # fmt: skip
"""Codes of a failed response that are about what was asked for. Source: the OpenAI SDK's `ResponseError`."""


def read_error(wire: Fields) -> Failure:
    """The failure in an `error` event, nested or flat, or in a failed response."""
    failure = read_failure(wire if wire.get("error") else rest(wire, "type", "sequence_number", "error"), 0)
    if failure.code in REQUEST_CODES and failure.kind == "upstream_error":
        return replace(failure, kind="bad_request")
    return failure


def error_of_response(failure: Failure) -> Fields:
    """What a failed response holds: it must have a code."""
    error = error_object(failure)["error"]
    return {"code": error["code"] or error["type"], "message": error["message"], **rest(error, "message", "type", "param", "code")}
