"""The embedded model, with its real weights."""
