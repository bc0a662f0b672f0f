"""The heart: one request runs here once, whoever asked for it and however it is read."""
