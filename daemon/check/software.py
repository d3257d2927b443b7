"""Python, the packages a configuration needs, and what it can compute on."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from daemon.check.finding import Finding, ok, problem, warning
from daemon.config import Config
from daemon.transport.child_process import ChildProcess, send_line

LEAST_PYTHON = (3, 11)
SHARED = ("selfstorm", "numpy", "pyzmq", "tifffile")
DEVICE_S, DRIVER_S = 60.0, 10.0


def python() -> Iterator[Finding]:
    """The interpreter."""
    where = f"{platform.python_version()} on {platform.platform(terse=True)}"
    if sys.version_info < LEAST_PYTHON:
        yield problem("python", where, "install Python 3.11 or newer")
    else:
        yield ok("python", where)


def packages(config: Config) -> Iterator[Finding]:
    """Their versions; those the configuration needs must be there."""
    needed = dict.fromkeys(SHARED, "pip install selfstorm")
    needed["torch"] = 'pip install "selfstorm[engine]"'
    needed |= dict.fromkeys(config.source.kind.packages, config.source.kind.install)
    there: list[str] = []
    for name, command in needed.items():
        try:
            there.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield problem("packages", f"{name} is missing", command)
    yield ok("packages", ", ".join(there))


def device(config: Config) -> Iterator[Finding]:
    """What torch computes on, found out in a process of its own: a broken driver hangs or kills whoever asks it."""
    chosen = config.reconstruction.device
    child = ChildProcess("daemon.check.software", [chosen])
    try:
        said = child.said(DEVICE_S) or {}
    finally:
        child.stop(1.0)
    driver = _driver()
    if "device" not in said:
        why = said.get("error", "torch died, or did not answer, when asked for its devices")
        yield problem("device", why, 'set device = "cpu" under [reconstruction], or mend the graphics driver')
    elif said["device"].startswith("cpu") and driver and chosen == "auto":
        yield warning(
            "device",
            f"{said['device']}, though there is {driver}; torch {said['torch']}",
            "install torch with CUDA (README, 'Install')",
        )
    else:
        yield ok("device", f"{said['device']}, torch {said['torch']}" + (f", {driver}" if driver else ""))


def _driver() -> str:
    """NVIDIA's card and driver, '' where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    line = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(line, capture_output=True, text=True, timeout=DRIVER_S, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return ""
    name, _, driver = said.partition("\n")[0].partition(", ")
    return f"{name}, driver {driver}"


def main() -> None:
    """In a child: say what the device of that name is."""
    try:
        import torch

        from selfstorm.compute.device import describe, prepare_device

        send_line(device=describe(prepare_device(sys.argv[1])), torch=torch.__version__)
    except Exception as error:  # an installation can be broken in any way
        send_line(error=f"{error}" or type(error).__name__)


if __name__ == "__main__":
    main()
