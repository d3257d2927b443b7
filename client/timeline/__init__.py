"""History of past windows, and moving through it."""
