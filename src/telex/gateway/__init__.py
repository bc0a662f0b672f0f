"""The HTTP face: any SDK pointed here finds the dialect that it speaks."""
