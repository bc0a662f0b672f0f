"""`thoughtSignature`: the state that Gemini signs its own thoughts with, and where the state of other providers is carried.

What is another's is sealed, its bytes in base64 as the field demands; Gemini's own never begin like a seal.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from telex.core.messages import Part
from telex.dialects.seal import seal, unseal
from telex.dialects.values import standard_base64

NAME = "gemini"


def write_signatures(part: Part) -> list[str]:
    """The signatures that a part of a reply needs: its own or its provider's, and encrypted reasoning."""
    owner = part.dialect or NAME
    native = owner == NAME
    signatures = [part.signature if native else envelope(seal(owner, part.signature))] if part.signature else []
    if part.data and part.kind == "reasoning":
        signatures.append(envelope(seal(owner, part.data, data=True)))
    return signatures


def envelope(sealed: str) -> str:
    return b64encode(sealed.encode("utf-8", "surrogatepass")).decode()


def read_signature(value: str) -> tuple[str, str, str]:
    """(signature, encrypted reasoning, whose) of a signature that came."""
    if not value:
        return "", "", ""
    standard = standard_base64(value)
    try:
        sealed = b64decode(standard or "").decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        sealed = ""
    dialect, state, data = unseal(sealed)
    if not dialect:
        return value, "", NAME
    return ("", state, dialect) if data else (state, "", dialect)
