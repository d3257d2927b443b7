"""Run everything that needs a GPU: tests and benchmarks.

The tests in tests/gpu, then the benchmarks with their figures and a description of the machine.

python tools/gpu.py                            on the machine with the GPU; half an hour or so; into docs/benchmarks/gpu
python tools/gpu.py --device cpu --small -o D  the same steps, tiny, to see that they run (their figures mean nothing)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS = ["tests", "compiler", "stages", "live", "paper"]
SELFSTORM = ["-c", "from selfstorm.cli import main; main()"]
# Fields in camera pixels; frames of a window; camera and seconds of the live run.
WHOLE = {"sides": "256,512,2048", "frames": "100", "live": "512", "rate": "100", "seconds": "300", "movie": "200"}
SMALL = {"sides": "16", "frames": "16", "live": "24", "rate": "100", "seconds": "1", "movie": "8"}


def main() -> int:
    """Run all steps, even after a failure.

    Returns:
        0 if all succeeded, 2 if there is no such device.
    """
    parser = argparse.ArgumentParser(description="GPU tests and benchmarks, all of them.")
    parser.add_argument(
        "--device", default="gpu", choices=["gpu", "cuda", "mps", "cpu"], help="gpu: whichever is there"
    )
    parser.add_argument("--small", action="store_true", help="tiny fields and short runs")
    parser.add_argument("--steps", nargs="+", default=STEPS, choices=STEPS, help="some alone")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "benchmarks" / "gpu", metavar="DIR")
    chosen = parser.parse_args()
    device = found(chosen.device)
    if device is None:
        print(
            "error: torch sees no CUDA or MPS device on this machine, so nothing was tested or measured; run this on "
            "one that has a GPU, with a torch built for it (python tools/dev.py install --torch any)",
            file=sys.stderr,
        )
        return 2
    output, size = chosen.output.resolve(), SMALL if chosen.small else WHOLE
    output.mkdir(parents=True, exist_ok=True)
    codes = []
    for name, arguments in steps(size, device, output).items():
        if name not in chosen.steps:
            continue
        print(f"--- {name}", flush=True)
        began = time.monotonic()
        codes.append(subprocess.call([sys.executable, *arguments], cwd=ROOT))
        print(
            f"--- {name}: {'done' if codes[-1] == 0 else 'FAILED'} after {time.monotonic() - began:.0f} s", flush=True
        )
    print(f"figures and plots are in {output}")
    return max(codes, key=abs)


def steps(size: dict[str, str], device: str, output: Path) -> dict[str, list[str]]:
    """Return the arguments of Python for every step.

    Tests; compiled kernels on the CPU too; stages; live; comparison with the paper's model.
    """
    pytest = ["-m", "pytest", "tests/gpu", "-p", "no:cacheprovider"]
    benchmark = [*SELFSTORM, "benchmark", "--device", device, "-o", str(output)]
    live = ["--stream", "--sides", size["live"], "--rates", size["rate"], "--seconds", size["seconds"]]
    methods = ["--methods", "widefield" if size is SMALL else "ours,paper", "--frames", size["movie"]]
    return {
        "tests": [*pytest, f"--junitxml={output / 'tests.xml'}"],
        "compiler": [*pytest, "-m", "compiler"],
        "stages": [*benchmark, "--stages", "--sides", size["sides"], "--frames", size["frames"]],
        "live": [*benchmark, *live],
        "paper": [*benchmark, *methods],
    }


def found(device: str) -> str | None:
    """Return the device to use, None if there is none."""
    if device == "cpu":
        return device
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "gpu":
        return next((name for name in there if there[name]), None)
    return device if there[device] else None


if __name__ == "__main__":
    sys.exit(main())
