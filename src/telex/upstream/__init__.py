"""Connections to providers: pushed, not pulled. A connection hands on what arrives the moment it arrives, and can be told to wait."""
