"""Every test process, and every process it starts, computes on one thread: there is a worker for each core already."""

import os

# Before torch and numpy are loaded, which read it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
