"""Every language model, every dialect, streamed or whole."""
