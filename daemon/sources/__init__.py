"""Camera processes: every source of frames, and their supervision."""
