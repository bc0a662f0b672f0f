"""Telex as official SDKs see it."""
