"""What a generation cost in time and tokens, read off its events."""
