"""The vocabulary of a generation, and nothing that waits, reads a clock or opens a socket."""
