"""What every store promises of keys."""

from __future__ import annotations

from concurrent.futures import wait

from msgspec.structs import replace

from telex.core.keys import Key
from telex.stores.minting import digest, mint_id, mint_token
from telex.stores.ports import Store

PATIENT = 30.0
WEB = Key("key_1", "web", ("chat", "local"), True, 600, 200_000, 50, "…abc", 1.5, 9.5)
BARE = Key("key_2", "bare", created_at=2.5)
WEB_DIGEST, BARE_DIGEST = digest("tx-web"), digest("tx-bare")


def create(store: Store, key: Key, kept: bytes) -> bool:
    return store.keys.create(key, kept).result(PATIENT)


def find(store: Store, kept: bytes) -> Key | None:
    return store.keys.find(kept).result(PATIENT)


def revoke(store: Store, which: str, now: float = 7.0) -> Key | None:
    return store.keys.revoke(which, now).result(PATIENT)


def listed(store: Store) -> list[Key]:
    return store.keys.list().result(PATIENT)


def test_a_key_is_found_by_its_digest_as_it_was_made(store: Store) -> None:
    assert create(store, WEB, WEB_DIGEST)
    assert create(store, BARE, BARE_DIGEST)
    assert (find(store, WEB_DIGEST), find(store, BARE_DIGEST)) == (WEB, BARE)


def test_no_other_digest_finds_it(store: Store) -> None:
    create(store, WEB, WEB_DIGEST)
    for other in (digest("tx-web "), digest(""), WEB_DIGEST[:-1], b"", WEB_DIGEST[:-1] + b"\0"):
        assert find(store, other) is None


def test_all_are_listed_the_oldest_first(store: Store) -> None:
    assert listed(store) == []
    create(store, WEB, WEB_DIGEST)
    create(store, BARE, BARE_DIGEST)
    assert listed(store) == [WEB, BARE]


def test_a_name_is_given_once(store: Store) -> None:
    assert create(store, WEB, WEB_DIGEST)
    assert not create(store, replace(BARE, name="web"), BARE_DIGEST)
    assert listed(store) == [WEB]
    assert find(store, BARE_DIGEST) is None


def test_of_many_that_want_a_name_at_once_one_gets_it(store: Store) -> None:
    asked = [store.keys.create(Key(mint_id(), "web"), digest(mint_token())) for _ in range(50)]
    wait(asked, PATIENT)
    assert sorted(future.result() for future in asked) == [False] * 49 + [True]
    assert len(listed(store)) == 1


def test_a_key_is_revoked_by_name_or_id_and_stays_to_be_seen(store: Store) -> None:
    create(store, WEB, WEB_DIGEST)
    create(store, BARE, BARE_DIGEST)
    gone = replace(WEB, revoked_at=7.0)
    assert revoke(store, "web") == gone
    assert revoke(store, "key_2", 8.0) == replace(BARE, revoked_at=8.0)
    assert find(store, WEB_DIGEST) == gone
    assert listed(store)[0] == gone


def test_what_is_revoked_or_unknown_can_not_be_revoked(store: Store) -> None:
    create(store, WEB, WEB_DIGEST)
    revoke(store, "web", 7.0)
    assert revoke(store, "web", 8.0) is None
    assert revoke(store, "key_1", 8.0) is None
    assert revoke(store, "nobody") is None
    assert listed(store) == [replace(WEB, revoked_at=7.0)]


def test_a_revoked_key_leaves_its_name_to_the_next(store: Store) -> None:
    create(store, WEB, WEB_DIGEST)
    revoke(store, "web")
    assert create(store, replace(BARE, name="web"), BARE_DIGEST)
    assert revoke(store, "web", 8.0) == replace(BARE, name="web", revoked_at=8.0)


def test_words_of_sql_are_only_words(store: Store) -> None:
    odd = replace(WEB, name="'; DROP TABLE keys; -- \0 é \U0001f600", models=('"', "a,b", ""))
    assert create(store, odd, WEB_DIGEST)
    assert find(store, WEB_DIGEST) == odd
    assert revoke(store, "' OR 1=1 --") is None
    assert listed(store) == [odd]
    assert find(store, b"' OR 1=1 --") is None
