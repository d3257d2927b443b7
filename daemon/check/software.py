"""Check Python, the needed packages, and the compute device."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from daemon.check.probes import ok, problem, warning
from daemon.config import Config
from daemon.transport.child_process import ChildProcess, send_line, wait_answer
from selfstorm.metrics.finding import Finding

MIN_PYTHON = (3, 11)
SHARED = ("selfstorm", "numpy", "pyzmq", "tifffile")
DEVICE_S, DRIVER_S = 170.0, 10.0


def python() -> Iterator[Finding]:
    """Check the interpreter."""
    where = f"{platform.python_version()} on {platform.platform(terse=True)}"
    if sys.version_info < MIN_PYTHON:
        yield problem("python", where, "install Python 3.11 or newer")
    else:
        yield ok("python", where)


def packages(config: Config) -> Iterator[Finding]:
    """Check that the needed packages are installed; list their versions."""
    needed = dict.fromkeys(SHARED, "pip install selfstorm")
    needed["torch"] = 'pip install "selfstorm[engine]"'
    needed |= dict.fromkeys(config.source.kind.packages, config.source.kind.install)
    installed: list[str] = []
    for name, command in needed.items():
        try:
            installed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield problem("packages", f"{name} is missing", command)
    yield ok("packages", ", ".join(installed))


def device(config: Config) -> Iterator[Finding]:
    """Check the compute device.

    In a child process, because a broken driver can hang or crash the process that asks for it.
    """
    chosen = config.reconstruction.device
    child = ChildProcess("daemon.check.software", [chosen])
    try:
        answer = wait_answer(child, DEVICE_S)
    finally:
        child.stop(1.0)
    driver = _driver()
    if "device" not in answer:
        remedy = 'set device = "cpu" under [reconstruction], or repair the graphics driver'
        yield problem("device", answer["error"], remedy)
    elif answer["device"].startswith("cpu") and driver and chosen == "auto":
        yield warning(
            "device",
            f"{answer['device']}, although there is {driver}; torch {answer['torch']}",
            "install torch with CUDA (docs/how-to/install.md)",
        )
    else:
        yield ok("device", f"{answer['device']}, torch {answer['torch']}" + (f", {driver}" if driver else ""))


def _driver() -> str:
    """Name NVIDIA's card and driver; '' where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    line = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        output = subprocess.run(line, capture_output=True, text=True, timeout=DRIVER_S, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return ""
    name, _, driver = output.partition("\n")[0].partition(", ")
    return f"{name}, driver {driver}"


def main() -> None:
    """Describe the device named on the command line; run in a child process."""
    try:
        import torch

        from selfstorm.compute.device import describe, prepare_device

        send_line(device=describe(prepare_device(sys.argv[1])), torch=torch.__version__)
    except Exception as error:  # an installation can be broken in any way
        send_line(error=f"{error}" or type(error).__name__)


if __name__ == "__main__":
    main()
