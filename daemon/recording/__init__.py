"""Raw frames to disk, in a process of its own."""
