"""How generations and responses are forgotten: in steps, each short, so that no other write waits long.

A generation is gone at once, with its row; what it said is deleted behind that, piece by piece, also when the process ended in between.
"""

from __future__ import annotations

import sqlite3

from telex.stores import ports
from telex.stores.sqlite.database import QUERIES
from telex.stores.sqlite.places import SPAN, place_of

FEW = 100
"""Rows that one step deletes at most."""

PIECE = 1 << 20
"""Bytes of frames that one step deletes, and those of one write more."""


def forget_some(database: sqlite3.Connection, now: float, most: int) -> int | None:
    """How many generations this step forgot; None if there was nothing to do."""
    expired = database.execute(QUERIES["expired_generations"], {"now": now, "few": FEW}).fetchall()
    if expired:
        for row in expired:
            forget_one(database, row["number"], now)
        return len(expired)
    if database.execute(QUERIES["forget_expired_responses"], {"now": now, "few": FEW}).rowcount:
        return 0
    if (forgotten := make_room(database, now, most)) is not None:
        return forgotten
    return 0 if delete_litter(database) or forget_gone(database, now) else None


def forget_one(database: sqlite3.Connection, number: int, now: float | None = None) -> None:
    """`now`: None: it counts as forgotten when it ended."""
    database.execute(QUERIES["remember_generation"], {"number": number, "now": now})
    database.execute(QUERIES["forget_generation"], {"number": number})


def make_room(database: sqlite3.Connection, now: float, most: int) -> int | None:
    """Forget the oldest until all have `most` bytes, but only a few. How many generations that were; None if there is nothing to do."""
    too_much = database.execute(QUERIES["total_size"]).fetchone()["size"] - most
    forgotten: int | None = None
    oldest = database.execute(QUERIES["oldest"], {"few": FEW}).fetchall() if too_much > 0 else []
    for row in oldest:
        if too_much <= 0:
            break
        too_much -= row["size"]
        if row["kind"] == "generation":
            forget_one(database, row["number"], now)
            forgotten = (forgotten or 0) + 1
        else:
            database.execute(QUERIES["forget_response"], {"number": row["number"]})
            forgotten = forgotten or 0
    return forgotten


def delete_litter(database: sqlite3.Connection) -> bool:
    """A piece of what is left of those that are forgotten. False if nothing is."""
    size = 0
    litter = database.execute(QUERIES["litter"], {"few": FEW}).fetchall()
    for row in litter:
        if size >= PIECE:
            break
        size += delete_frames(database, row["number"], PIECE - size)
    return bool(litter)


def delete_frames(database: sqlite3.Connection, number: int, most: int) -> int:
    """Of one that is forgotten, the first frames that have `most` bytes; returns how many bytes they had."""
    first = place_of(number, 0)
    last = end = first + SPAN - 1
    size = 0
    for batch in database.execute(QUERIES["litter_frames"], {"first": first, "last": end}):
        size += batch["size"]
        if size >= most:
            last = batch["place"]
            break
    database.execute(QUERIES["delete_frames"], {"first": first, "last": last})
    if last == end:
        database.execute(QUERIES["delete_litter"], {"number": number})
    return size


def forget_gone(database: sqlite3.Connection, now: float) -> bool:
    """Of those that were forgotten long ago, that they were here. False if there are none."""
    old = {"before": now - ports.REMEMBERED_SECONDS, "few": FEW}
    many = {"most": ports.REMEMBERED_MOST, "few": FEW}
    return database.execute(QUERIES["forget_old"], old).rowcount + database.execute(QUERIES["forget_many"], many).rowcount > 0
