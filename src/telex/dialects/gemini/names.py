"""Models as Google names them: as resources, and in paths."""

from __future__ import annotations

from urllib.parse import quote


def resource(name: str) -> str:
    return name if name.startswith(("models/", "tunedModels/")) else f"models/{name}"


def model_path(model: str, verb: str) -> str:
    """The path of a method behind a base URL. Raises `ValueError` for a model name that no path can hold."""
    kind, slash, name = model.partition("/")
    if kind not in ("models", "tunedModels") or not slash:
        kind, name = "models", model
    if wrong := next((mark for mark in ("/", "\\", "..", "?", "#", "%") if mark in name), ""):
        raise ValueError(f"it has '{wrong}' in it")
    if not name or not name.isprintable():
        raise ValueError("it has characters that cannot be printed" if name else "it is empty")
    return f"/{kind}/{quote(name, safe=':@')}:{verb}"
