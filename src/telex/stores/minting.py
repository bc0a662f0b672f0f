"""Keys as they are made, and what of them is kept."""

from __future__ import annotations

import hashlib
import secrets

PREFIX = "tx-"
"""How every token begins, so that people and scanners know one when they see it."""

TOKEN_BYTES = 32


def mint_token() -> str:
    """A token that nobody can guess, in letters that every header and URL can carry."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def mint_id() -> str:
    return "key_" + secrets.token_hex(6)


def digest(token: str) -> bytes:
    """What is kept of a token: its SHA-256.

    A slow hash or a secret of the server's would guard against guessing what was hashed. Nobody guesses 256 random bits; and whoever
    measures how long a look-up takes learns at most something of a digest, from which no way leads back to a token.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
