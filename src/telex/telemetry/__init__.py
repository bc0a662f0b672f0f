"""What Telex tells about itself: one line for each generation, no word of what was said in it."""
