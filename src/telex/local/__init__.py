"""The embedded model: a small real language model in a child process, with no account, key or model hub."""
