"""What went wrong in others, row by row: that it can't happen here."""
