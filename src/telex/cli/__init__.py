"""The command line. Exit status 0: done; 1: the work failed; 2: the call was wrong."""

from __future__ import annotations

import sys

from telex.config import ConfigError
from telex.core.errors import TelexError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status. Errors are one plain sentence on standard error."""
    from cyclopts import CycloptsError

    from telex.cli.commands import app

    try:
        result = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:  # cyclopts has printed what was wrong with the call
        return 2
    except ConfigError as error:
        print(f"telex: {error}", file=sys.stderr)
        return 2
    except TelexError as error:
        print(f"telex: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0
