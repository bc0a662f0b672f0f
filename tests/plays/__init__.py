"""What each provider says that the reference of its dialect would not, as small plays, and what a reader at the gateway must get."""

from .hosted import HOSTED
from .others import OTHERS
from .servers import SERVERS
from .words import Heard, Play

__all__ = ["PLAYS", "Heard", "Play"]

PLAYS = [*HOSTED, *SERVERS, *OTHERS]
