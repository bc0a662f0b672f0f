"""Tokens before the call: how many a request has, and how many a model takes."""
