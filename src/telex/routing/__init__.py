"""Which target is tried, when, and when to stop: without a clock, a socket or a coin."""
