"""Where generateContent is asked for, and where models are listed."""

from __future__ import annotations

import json

import pytest

from telex.core.json import Malformed
from telex.dialects.gemini import decode_models, encode_model, encode_models, find_operation, generate_path, request_headers
from telex.dialects.operation import Operation

OPERATIONS = [
    ("/v1beta/models/g:generateContent", "", Operation("g")),
    ("/v1/models/g:generateContent", "alt=sse", Operation("g")),
    ("/v1/models/g:streamGenerateContent", "alt=sse", Operation("g", True)),
    ("/v1/models/g:streamGenerateContent", "key=x&alt=sse", Operation("g", True)),
    ("/v1/models/g:streamGenerateContent", "", Operation("g", True, "json-array")),
    ("/v1/models/g:streamGenerateContent", "alt=json", Operation("g", True, "json-array")),
    ("/v1beta/models/openai/gpt-5:generateContent", "", Operation("openai/gpt-5")),
    ("/v1beta/models/models/g:generateContent", "", Operation("g")),
    ("/v1beta/models/ollama/qwen3:8b:generateContent", "", Operation("ollama/qwen3:8b")),
    ("/v1beta/tunedModels/mine:generateContent", "", Operation("tunedModels/mine")),
    ("/v1beta1/projects/p/locations/us/publishers/google/models/g:generateContent", "", Operation("g")),
    ("/v1/projects/p/locations/us/publishers/google/models/g:streamGenerateContent", "alt=sse", Operation("g", True)),
    ("/v1beta1/publishers/google/models/g:generateContent", "", Operation("g")),
    ("/v1/models/a\nb\r:generateContent", "", Operation("a\nb\r")),
    ("/v1beta/models/g:countTokens", "", Operation("g", kind="count")),
    ("/v1/projects/p/locations/us/publishers/google/models/g:countTokens", "", Operation("g", kind="count")),
    ("/v1beta/openai/gpt-5:generateContent", "", Operation("openai/gpt-5")),
    ("/v1beta/ollama/qwen3:8b:streamGenerateContent", "alt=sse", Operation("ollama/qwen3:8b", True)),
    ("/v1beta/models/g:embedContent", "", None),
    ("/v1beta/g:generateContent", "", None),
    ("/v1beta/models/:generateContent", "", None),
    ("/v1beta/models/g", "", None),
    ("/v2/models/g:generateContent", "", None),
    ("/v1/chat/completions", "", None),
]


@pytest.mark.parametrize(("path", "query", "operation"), OPERATIONS)
def test_paths_are_found(path: str, query: str, operation: Operation | None) -> None:
    assert find_operation(path, query) == operation


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3", "/models/gemini-3:generateContent"),
        ("models/gemini-3", "/models/gemini-3:generateContent"),
        ("tunedModels/x", "/tunedModels/x:generateContent"),
        ("a b ü:8", "/models/a%20b%20%C3%BC:8:generateContent"),
    ],
)
def test_paths_are_made(model: str, path: str) -> None:
    assert generate_path(model, False) == path
    assert generate_path(model, True) == path.replace(":generateContent", ":streamGenerateContent?alt=sse")


@pytest.mark.parametrize("model", ["", "a/b", "models/", "models/a/b", "a\\b", "..", "a\nb", "a\x7f", "a?b", "a#b", "a%2fb", "\ud800"])
def test_no_path_holds_these_models(model: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        generate_path(model, False)


def test_models_are_listed_as_google_lists_them() -> None:
    body = encode_models([("gemini/g", "google"), ("tunedModels/x", "me")], 7)
    first, second = json.loads(body)["models"]
    methods = ["generateContent", "countTokens"]
    assert first == {"name": "models/gemini/g", "displayName": "gemini/g", "supportedGenerationMethods": methods}
    assert second["name"] == "tunedModels/x"
    assert decode_models(body) == ["gemini/g", "tunedModels/x"]
    assert json.loads(encode_model("gemini/g", "google", 7)) == first


def test_models_without_a_name_are_left_out() -> None:
    assert decode_models(b'{"models":[{"name":"models/a"},{"name":1},{},3],"nextPageToken":"x"}') == ["a"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models":{}}', b'{"data":[{"id":"x"}]}'])
def test_what_is_no_list_of_models(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_models(body)


def test_it_needs_no_headers_of_its_own() -> None:
    assert request_headers(None) == {}
