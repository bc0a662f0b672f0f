"""Turns: one each, in order, and no place is lost."""

from __future__ import annotations

from collections import defaultdict, deque

from hypothesis import given
from hypothesis import strategies as st

from telex.limits.queue import FairQueue


def test_owners_take_turns_and_keep_their_order() -> None:
    queue = FairQueue[str](1, 10)
    assert queue.enter("flood", "f0") == "runs"
    for item in ("f1", "f2", "f3"):
        assert queue.enter("flood", item) == "waits"
    for owner in ("a", "b"):
        assert queue.enter(owner, f"{owner}1") == "waits"
    assert [queue.finish() for _ in range(6)] == ["f1", "a1", "b1", "f2", "f3", None]
    assert queue.running == 0


def test_a_line_that_is_full_is_full_for_its_owner_alone() -> None:
    queue = FairQueue[str](1, 1)
    assert [queue.enter(owner, item) for owner, item in (("a", "a0"), ("a", "a1"), ("a", "a2"), ("b", "b1"))] == [
        "runs", "waits", "full", "waits",
    ]  # fmt: skip


def test_without_a_line_nobody_waits() -> None:
    queue = FairQueue[str](1, 0)
    assert [queue.enter("a", "1"), queue.enter("a", "2")] == ["runs", "full"]


def test_fewer_places_are_felt_as_they_become_free() -> None:
    queue = FairQueue[str](2, 5)
    for item in "abc":
        queue.enter("o", item)
    queue.places = 1
    assert [queue.finish(), queue.finish(), queue.finish()] == [None, "c", None]


STEPS = st.tuples(st.sampled_from(["enter", "finish", "leave"]), st.sampled_from("abc"), st.integers(0, 5))


@given(st.integers(1, 3), st.integers(0, 3), st.lists(STEPS, max_size=80))
def test_no_place_leaks_and_nobody_overtakes(places: int, most: int, steps: list[tuple[str, str, int]]) -> None:
    queue = FairQueue[tuple[str, int]](places, most)
    lines: dict[str, deque[tuple[str, int]]] = defaultdict(deque)
    running = list[tuple[str, int]]()
    for number, (step, owner, place) in enumerate(steps):
        item = owner, number
        if step == "enter":
            verdict = queue.enter(owner, item)
            assert verdict == ("runs" if len(running) < places else "waits" if len(lines[owner]) < most else "full")
            if verdict == "runs":
                running.append(item)
            elif verdict == "waits":
                lines[owner].append(item)
        elif step == "finish" and running:
            running.pop(place % len(running))
            if (following := queue.finish()) is not None:
                assert lines[following[0]].popleft() == following
                running.append(following)
        elif step == "leave" and lines[owner]:
            leaver = lines[owner][place % len(lines[owner])]
            lines[owner].remove(leaver)
            assert queue.leave(owner, leaver)
            assert not queue.leave(owner, leaver)
        assert queue.running == len(running) <= places
        assert len(queue) == sum(map(len, lines.values()))
        assert not len(queue) or len(running) == places, "nobody waits beside a free place"


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60))
def test_nobody_waits_for_more_than_one_of_each_other_owner_between_two_turns(owners: list[str]) -> None:
    queue = FairQueue[tuple[str, int]](1, 100)
    queue.enter("first", ("first", 0))
    for number, owner in enumerate(owners):
        queue.enter(owner, (owner, number))
    served = [item[0] for item in iter(queue.finish, None)]
    left = {owner: owners.count(owner) for owner in owners}
    for position, owner in enumerate(served):
        left[owner] -= 1
        following = served[position + 1 :]
        if left[owner]:
            between = following[: following.index(owner)]
            assert len(set(between)) == len(between)
            assert set(between) == {other for other in left if other != owner and left[other]}
