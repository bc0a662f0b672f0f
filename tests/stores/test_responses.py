"""What every store promises of responses that others may go on from."""

from __future__ import annotations

from msgspec.structs import replace

from telex.stores.ports import SavedResponse, Store

from .saving import now, response

WHOLE = SavedResponse("key_1", "resp_1", "gen_1", b"\x00body", b"\xffinput", False, ("msg_1", 'a"é', "msg_1"), 1.5, 9.5)


def save(store: Store, response: SavedResponse) -> None:
    now(store.responses.save(response))


def find(store: Store, owner: str, id: str) -> SavedResponse | None:
    return now(store.responses.find(owner, id))


def find_item(store: Store, owner: str, item: str) -> SavedResponse | None:
    return now(store.responses.find_item(owner, item))


def test_it_is_found_by_its_id_and_its_items_as_it_was_saved(store: Store) -> None:
    bare = response("resp_2")
    save(store, WHOLE)
    save(store, bare)
    assert (find(store, "key_1", "resp_1"), find(store, "", "resp_2")) == (WHOLE, bare)
    assert (find_item(store, "key_1", "msg_1"), find_item(store, "key_1", 'a"é')) == (WHOLE, WHOLE)


def test_it_is_its_owners_alone(store: Store) -> None:
    save(store, WHOLE)
    assert [find(store, owner, "resp_1") for owner in ("", "key_2")] == [None, None]
    assert [find_item(store, owner, "msg_1") for owner in ("", "key_2")] == [None, None]
    theirs = replace(WHOLE, owner="key_2", body=b"theirs")
    save(store, theirs)
    assert (find(store, "key_1", "resp_1"), find(store, "key_2", "resp_1")) == (WHOLE, theirs)


def test_it_takes_the_place_of_an_older_one(store: Store) -> None:
    save(store, WHOLE)
    newer = replace(WHOLE, items=("msg_2",), body=b"", created=2.5)
    save(store, newer)
    assert find(store, "key_1", "resp_1") == newer
    assert (find_item(store, "key_1", "msg_1"), find_item(store, "key_1", "msg_2")) == (None, newer)


def test_the_newest_has_the_item(store: Store) -> None:
    first, second, third = (response(f"resp_{created:g}", items=("msg", "own"), created=created) for created in (2.0, 3.0, 1.0))
    for saved in (first, second, third):
        save(store, saved)
    assert find_item(store, "", "msg") == second
    same = replace(second, id="resp_same")
    save(store, same)
    assert find_item(store, "", "msg") == same  # of two that were created at once, that which was saved later


def test_it_is_deleted_once(store: Store) -> None:
    save(store, WHOLE)
    assert not now(store.responses.delete("key_2", "resp_1"))
    assert now(store.responses.delete("key_1", "resp_1"))
    assert not now(store.responses.delete("key_1", "resp_1"))
    assert (find(store, "key_1", "resp_1"), find_item(store, "key_1", "msg_1")) == (None, None)
