"""The command line. Exit status 0: done; 1: the work failed; 2: the call was wrong."""

from __future__ import annotations

import os
import sys

from telex.config import ConfigError
from telex.core.errors import TelexError

GATEWAY_KEY = "TELEX_API_KEY"
"""The environment variable with the key for the gateway of `--url`."""


class WrongCall(TelexError):
    """A command that can't be carried out as it was called, which shows before anything is tried."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status. Errors are one plain sentence on standard error."""
    from cyclopts import CycloptsError

    from telex.cli.commands import app

    try:
        result = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:  # cyclopts has printed what was wrong with the call
        return 2
    except (ConfigError, WrongCall) as error:
        print(f"telex: {error}", file=sys.stderr)
        return 2
    except TelexError as error:
        print(f"telex: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read has seen enough: `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is written there at the very end
        return 0
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0
