"""How much a key, a model or a target may have, and who is next where there is not enough: without a clock or a socket."""
