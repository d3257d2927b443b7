"""Report of a run: what its files say, as one HTML page and as PDF."""
