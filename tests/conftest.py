"""Every test process, and every process it starts, computes on one thread: there is a worker for each core already."""

import os
from importlib.util import find_spec

import pytest

# Before torch and numpy are loaded, which read it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
CAPABILITIES = ("default", "avx2", "avx512", "vsx", "zvector", "sve", "sve128", "sve256")


def be_patient():
    """A busy machine is no fault of what is tested, and every run tries the same examples."""
    from hypothesis import HealthCheck, settings

    settings.register_profile("patient", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")


def pytest_configure():
    """Say what would fail every test: torch warns of an unknown name."""
    if find_spec("hypothesis"):  # the bare environment of a machine with a GPU has none
        be_patient()
    chosen = os.environ.get("ATEN_CPU_CAPABILITY", "default")
    if chosen not in CAPABILITIES:
        raise pytest.UsageError(
            f"ATEN_CPU_CAPABILITY={chosen} is unknown to torch: unset it, or use one of {', '.join(CAPABILITIES)}"
        )
