"""An answer as the command line hears it."""

from __future__ import annotations

from typing import Any, cast

from telex.cli.listening import Listener, Say


def test_nothing_is_asked_before_somebody_listens() -> None:
    """A Ctrl-C that came before would find nothing to stop, and what was asked would go on."""
    asked = list[str]()

    def work(say: Say) -> Any:
        asked.append("now")
        say("Blue.")
        return cast("Any", "a reply")

    listener = Listener(work)
    assert asked == []
    assert "".join(listener.texts()) == "Blue."
    assert (asked, listener.said, str(listener.reply)) == (["now"], "Blue.", "a reply")
