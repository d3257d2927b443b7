"""Every test process, and every process it starts, computes on one thread: there is a worker for each core already."""

import os

import pytest

# Before torch and numpy are loaded, which read it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
CAPABILITIES = ("default", "avx2", "avx512", "vsx", "zvector", "sve", "sve128", "sve256")


def pytest_configure():
    """Say what would fail every test: torch warns of an unknown name."""
    chosen = os.environ.get("ATEN_CPU_CAPABILITY", "default")
    if chosen not in CAPABILITIES:
        raise pytest.UsageError(
            f"ATEN_CPU_CAPABILITY={chosen} is unknown to torch: unset it, or use one of {', '.join(CAPABILITIES)}"
        )
