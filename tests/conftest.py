"""Every test process, and every process it starts, computes on one thread: there is a worker for each core already."""

import os

import hypothesis
import pytest

# Before torch and numpy are loaded, which read it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is no fault of what is tested, and every run tries the same examples.
PATIENT = {"deadline": None, "derandomize": True, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
CAPABILITIES = ("default", "avx2", "avx512", "vsx", "zvector", "sve", "sve128", "sve256")


def pytest_configure():
    """Say what would fail every test: torch warns of an unknown name."""
    hypothesis.settings.register_profile("patient", **PATIENT)
    hypothesis.settings.load_profile("patient")
    chosen = os.environ.get("ATEN_CPU_CAPABILITY", "default")
    if chosen not in CAPABILITIES:
        raise pytest.UsageError(
            f"ATEN_CPU_CAPABILITY={chosen} is unknown to torch: unset it, or use one of {', '.join(CAPABILITIES)}"
        )
