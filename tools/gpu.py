"""Run everything that needs a GPU, on a machine that has little else.

python tools/gpu.py prepare        where there is a network: wheels of what a bare machine lacks, into .gpu (20 MB)
python tools/gpu.py run            on the machine with the GPU: 8 minutes; figures, logs and a table into $OUT
python tools/gpu.py run --device cpu --small --out D    the same steps on tiny fields, to see that they run

The machine needs Python, torch, numpy and scipy, and no network: packages that it lacks are unpacked from .gpu. Every
step has a time limit of its own, the most telling come first, and what a step has written stays when it is stopped.

A stride is all that a live run computes: statistics, PSF, density, emitters, localizations, live drift, the accumulated
picture, metrics. Linking (`convert --linked`) and reports run on the host alone and are not measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WHEELS, UNPACKED = ROOT / ".gpu", "packages"
MAX_WHEELS_BYTES = 64 * 2**20
MAX_SECONDS = 480
LINES_SHOWN, LINE_LENGTH = 12, 160
# What the steps import beside torch, numpy and scipy: name of the package -> name of the module.
PACKAGES = {
    "annotated-types": "annotated_types",
    "click": "click",
    "iniconfig": "iniconfig",
    "lazy-loader": "lazy_loader",
    "markdown-it-py": "markdown_it",
    "mdurl": "mdurl",
    "msgpack": "msgpack",
    "packaging": "packaging",
    "pluggy": "pluggy",
    "prometheus-client": "prometheus_client",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic_core",
    "Pygments": "pygments",
    "pytest": "pytest",
    "pytest-timeout": "pytest_timeout",
    "pyzmq": "zmq",
    "rich": "rich",
    "safetensors": "safetensors",
    "scikit-image": "skimage",
    "threadpoolctl": "threadpoolctl",
    "tifffile": "tifffile",
    "typing-inspection": "typing_inspection",
    "typing_extensions": "typing_extensions",
    "zstandard": "zstandard",
}
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


@dataclass(frozen=True, slots=True)
class Size:
    """Fields and lengths of the steps.

    Attributes:
        sides: of the fields whose stride is measured, camera pixels.
        window: frames.
        stages: sides of the fields whose stages are measured, with commas.
        live: side of the live run.
        seconds: of the live run.
    """

    sides: tuple[int, int]
    window: int
    stages: str
    live: int
    seconds: int


WHOLE, SMALL = Size((512, 2048), 50, "64,512", 512, 40), Size((16, 24), 25, "16", 24, 1)


@dataclass(frozen=True, slots=True)
class Step:
    """A step, run as a process of its own.

    Attributes:
        name: of its log.
        seconds: after which it is stopped.
        arguments: of Python.
    """

    name: str
    seconds: int
    arguments: tuple[str, ...]


def steps(size: Size, device: str, out: Path) -> list[Step]:
    """Return all steps, the most telling first."""
    written = "--device", device, "-o", str(out)
    benchmark = "-c", "from selfstorm.cli import main; main()", "benchmark", *written, "--overwrite"
    stride = [
        ("-m", "benchmarks.stride", "--side", str(side), "--window", str(size.window), *written) for side in size.sides
    ]
    # the project's options need plugins that a bare machine lacks
    tests = "-m", "pytest", "tests/gpu", "-c", os.devnull, f"--rootdir={ROOT}", "-p", "no:cacheprovider", "-q", "-rfEs"
    live = "--stream", "--sides", str(size.live), "--rates", "100", "--seconds", str(size.seconds)
    return [
        Step("machine", 20, ("-c", _MACHINE)),
        Step("stride", 80, stride[0]),
        Step("tests", 90, (*tests, "-o", "pythonpath=tools tests", f"--junitxml={out / 'tests.xml'}")),
        Step("stages", 80, (*benchmark, "--stages", "--sides", size.stages, "--frames", str(size.window))),
        Step("live", 80, (*benchmark, *live)),
        Step("large stride", 70, stride[1]),
        Step("tiled stride", 60, (*stride[1], "--model", "tiled", "--estimate", "density")),
    ]


_MACHINE = """
import importlib.util, os, platform, shutil, torch
print("torch", torch.__version__, "Python", platform.python_version(), os.cpu_count(), "cores")
print("triton", importlib.util.find_spec("triton") is not None, "C compiler", shutil.which("gcc") or shutil.which("cc"))
if torch.cuda.is_available():
    properties = torch.cuda.get_device_properties(0)
    print(properties.name, f"{properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}")
"""


def main(arguments: list[str] | None = None) -> int:
    """Prepare or run.

    Returns:
        0 if all succeeded, 1 if a step failed, 2 if nothing could be run.
    """
    parser = argparse.ArgumentParser(description="GPU tests and benchmarks, all of them.")
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare", help="download the wheels of what a bare machine lacks")
    preparing.add_argument("--python", default="3.12", metavar="X.Y", help="of the machine with the GPU")
    running = commands.add_parser("run", help="run all steps")
    running.add_argument(
        "--device", default="gpu", choices=["gpu", "cuda", "mps", "cpu"], help="gpu: whichever is there"
    )
    running.add_argument("--small", action="store_true", help="tiny fields and short runs")
    running.add_argument("--steps", nargs="+", default=[], metavar="STEP", help="some alone")
    running.add_argument("-o", "--out", type=Path, default=Path(os.environ.get("OUT", "gpu-out")), metavar="DIR")
    for command in (preparing, running):
        command.add_argument("--wheels", type=Path, default=WHEELS, metavar="DIR", help="folder of the wheels")
    chosen = parser.parse_args(arguments)
    if chosen.command == "prepare":
        return prepare(chosen.wheels, chosen.python)
    return run(chosen.device, SMALL if chosen.small else WHOLE, chosen.out.resolve(), chosen.wheels, chosen.steps)


def prepare(wheels: Path, python: str) -> int:
    """Download the wheels of PACKAGES, as pinned, for Linux."""
    wheels.mkdir(parents=True, exist_ok=True)
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line.partition("==")[0] in PACKAGES]
    platforms = [f"--platform={name}" for name in PLATFORMS]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    code = subprocess.call([*pip, f"--python-version={python}", *platforms, "--dest", str(wheels), *pins])
    if code:
        print("error: pip could not download the wheels (see above)", file=sys.stderr)
        return 2
    total = sum(wheel.stat().st_size for wheel in wheels.glob("*.whl"))
    print(f"{len(pins)} wheels, {total / 2**20:.0f} MiB, in {wheels}")
    if total > MAX_WHEELS_BYTES:
        print(f"error: more than {MAX_WHEELS_BYTES >> 20} MiB; delete older wheels from {wheels}", file=sys.stderr)
        return 2
    return 0


def run(device: str, size: Size, out: Path, wheels: Path, names: list[str]) -> int:
    """Run the steps, also after one failed; write a table of their figures."""
    out.mkdir(parents=True, exist_ok=True)
    environment = unpack(wheels, out)
    found = _found(device, environment)
    if found is None:
        return 2
    begin, lines, failed = time.monotonic(), [], False
    for step in steps(size, found, out):
        if names and step.name not in names:
            continue
        left_s = MAX_SECONDS - (time.monotonic() - begin)
        result, took_s = _run(step, min(step.seconds, left_s), out, environment)
        failed |= result != "done"
        lines.append(f"{step.name:13} {result:12} {took_s:5.0f} s")
    table = "\n".join([*lines, "", *figures(out)])
    (out / "table.txt").write_text(table + "\n", encoding="utf-8")
    print(f"=== table\n{table}\n=== all in {out}, {time.monotonic() - begin:.0f} s", flush=True)
    return int(failed)


def unpack(wheels: Path, out: Path) -> dict[str, str]:
    """Unpack the wheels of packages that are missing here.

    A wheel is an archive of what belongs into a folder of packages; no pip is needed.

    Returns:
        The environment of the steps: the source tree first, what was unpacked last.
    """
    folder = out / UNPACKED
    missing = {
        name.lower().replace("-", "_") for name, module in PACKAGES.items() if not importlib.util.find_spec(module)
    }
    for wheel in wheels.glob("*.whl"):
        if wheel.name.partition("-")[0].lower() in missing:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    about = folder / f"selfstorm-{project['version']}.dist-info" / "METADATA"  # the source tree is not installed here
    about.parent.mkdir(parents=True, exist_ok=True)
    about.write_text(f"Metadata-Version: 2.1\nName: selfstorm\nVersion: {project['version']}\n", encoding="utf-8")
    paths = [str(ROOT), str(ROOT / "tools"), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, str(folder)]), "PYTHONUNBUFFERED": "1"}


def _found(device: str, environment: Mapping[str, str]) -> str | None:
    """Return the device to use; None, after an error, if there is none."""
    if device == "cpu":
        return device
    ask = "import torch; print('cuda' * torch.cuda.is_available() or 'mps' * torch.backends.mps.is_available())"
    done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=False)
    there = done.stdout.strip()
    if there and device in ("gpu", there):
        return there
    why = (
        done.stderr.strip().splitlines()[-1] if done.returncode else "torch sees no CUDA or MPS device on this machine"
    )
    print(
        f"error: {why}, so nothing was tested or measured; run this on one that has a GPU, with a torch built for it "
        "(python tools/dev.py install --torch any)",
        file=sys.stderr,
    )
    return None


def _run(step: Step, limit_s: float, out: Path, environment: Mapping[str, str]) -> tuple[str, float]:
    """Run a step with its output in a log, and show the end of it."""
    if limit_s <= 0:
        return "no time left", 0.0
    print(f"=== {step.name}", flush=True)
    log, begin = out / f"{step.name.replace(' ', '_')}.log", time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *step.arguments],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limit_s)
            result = "done" if code == 0 else f"FAILED ({code})"
        except subprocess.TimeoutExpired:
            _kill(process)
            result = "TOO LONG"
    shown = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES_SHOWN:]
    print("\n".join(line[:LINE_LENGTH] for line in shown), flush=True)
    return result, time.monotonic() - begin


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a step with the processes that it started."""
    if os.name == "nt":
        subprocess.call(["taskkill", "/F", "/T", "/PID", str(process.pid)])  # noqa: S607 - part of Windows
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def figures(out: Path) -> list[str]:
    """Return the figures that the goals are about, one a line."""
    lines = []
    for path in sorted(out.glob("stride_*.json")):
        record = _read(path)
        for phase in ("preview", "refined"):
            cost, goal = record["until"][phase], {"preview": "30", "refined": "110"}[phase]
            if not cost["launches"]:  # a tiled model has no preview
                continue
            field = f"{record['side_px']} px" + " in tiles" * (record["model"] == "tiled")
            lines.append(
                f"{field}, {phase} after {cost['ms']:.0f} ms (goal at 512 px {goal}), "
                f"{cost['launches']} launches (2500), {cost['waits']} waits (3)"
            )
    if (record := _read(out / "stages.json")) is not None:
        lines += [
            f"{cost['side_px']} px, {cost['stage']}: {1e3 * cost['seconds']:.3g} ms a {cost['unit']}, "
            f"{cost['least_share']:.0%} of the least-bytes limit"
            for cost in record["stages"]
            if cost["least_bytes"]
        ]
        lines += [
            f"{one['side_px']} px, stage B {one['emitters_hz']:.0f} frames/s, a stride of 25 in {one['stride_s']:.3f} s"
            for one in record["windows"]
        ]
    if (record := _read(out / "stream.json")) is not None:
        for one in record["rates"]:
            preview = "none" if one["preview_ms"] is None else f"{one['preview_ms'][1]:.0f} ms"
            lines.append(
                f"live {one['side_px']} px at {one['rate_hz']:g} frames/s: {one['published']} windows, "
                f"{one['skipped']} skipped, {one['missing']} frames missing, '{one['level']}', p95 preview {preview}, "
                f"refined {one['refined_ms'][1]:.0f} ms"
            )
    return lines


def _read(path: Path) -> Any:
    """Read a file of figures; None where its step wrote none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
