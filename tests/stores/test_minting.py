"""Tokens of keys."""

from __future__ import annotations

import re

from telex.stores.minting import digest, mint_id, mint_token


def test_a_token_is_long_random_and_fits_everywhere() -> None:
    tokens = {mint_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(re.fullmatch(r"tx-[A-Za-z0-9_-]{43}", token) for token in tokens)  # 43 letters of 6 bits hold 256


def test_ids_tell_nothing_of_tokens() -> None:
    assert re.fullmatch(r"key_[0-9a-f]{12}", mint_id())
    assert mint_id() != mint_id()


def test_a_digest_is_of_all_of_the_token_whatever_a_client_sent() -> None:
    token = mint_token()
    assert digest(token) == digest(token)
    assert len({digest(token), digest(token[:-1]), digest(token + "x"), digest(token.lower()), digest("")}) == 5
    assert len(digest("\udcff\0é")) == 32
