"""What outlives a request: behind small ports, in memory or in a file of SQLite."""
