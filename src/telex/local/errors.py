"""What can go wrong with the embedded model."""


class LocalModelError(Exception):
    """The embedded model cannot be fetched or run; the text is written for the user: what is wrong and what to do."""
