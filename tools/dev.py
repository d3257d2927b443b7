"""Install everything on a fresh machine, and run: needs only Python.

It makes .venv and installs the pinned dependencies.

python tools/dev.py demo      a simulated living cell through camera process, daemon and viewer
python tools/dev.py test      the checks and the tests
python tools/dev.py install   only the environment
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / "installed.txt"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
CHECKS = (
    ["-m", "ruff", "check", "."],
    ["-m", "ruff", "format", "--check", "."],
    ["-m", "mypy"],
    ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
    ["-m", "pytest", "-n", "auto", "--dist", "loadfile"],
)


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(description="Install into .venv and run.")
    parser.add_argument("command", choices=["demo", "test", "install"])
    parser.add_argument(
        "--torch",
        default="cpu",
        metavar="cpu|any|URL",
        help="cpu: the CPU build where pip can find one (default); any: what pip prefers, on Linux the CUDA build; "
        "or the address of a package index with the build you want",
    )
    parser.add_argument("arguments", nargs="*", help="handed on: to pytest, or to the demo")
    chosen, extra = parser.parse_known_args()
    if sys.version_info < (3, 11):  # noqa: UP036  (an older Python is what this line is for)
        print(f"error: Python {sys.version.split()[0]} is too old: run this with Python 3.11 or newer", file=sys.stderr)
        return 2
    install(chosen.torch)
    extra = [*chosen.arguments, *extra]
    if chosen.command == "demo":
        return run(str(ROOT / "tools" / "demo.py"), *extra)
    if chosen.command == "test":
        return test(extra)
    return 0


def install(torch: str) -> None:
    """Make .venv and install everything, unless it is up to date."""
    wanted = (ROOT / "pyproject.toml").read_bytes() + (ROOT / "constraints.txt").read_bytes() + torch.encode()
    stamp = hashlib.sha256(wanted).hexdigest()
    if STAMP.exists() and STAMP.read_text() == stamp:
        return
    print(f"installing into {ENVIRONMENT} (some minutes the first time)", flush=True)
    if not PYTHON.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    pip("--upgrade", "pip")
    install_torch(torch)
    pip("--editable", f"{ROOT}[all]", "--group", f"{ROOT / 'pyproject.toml'}:test")
    compile_all()
    STAMP.write_text(stamp)


def install_torch(build: str) -> None:
    """Install the chosen torch build.

    The rest of the installation works with any.
    """
    pinned = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    if build == "cpu" and sys.platform == "linux" and pip(f"{pinned}+cpu", wanted=False):
        return
    if build == "cpu" and sys.platform == "linux":
        print("note: pip sees no CPU build of torch; taking its default, which is larger and runs on the CPU too")
    pip(pinned, *(["--extra-index-url", build] if "://" in build else []))


def pip(*arguments: str, wanted: bool = True) -> bool:
    """Install with the pinned versions.

    If it fails, the program ends, unless `wanted` is False.

    Returns:
        True if it was installed.
    """
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    code = subprocess.call(
        [*command, "--constraint", ROOT / "constraints.txt", *arguments],
        stderr=None if wanted else subprocess.DEVNULL,
    )
    if code and wanted:
        print(f"error: pip could not install {' '.join(arguments)}; see above", file=sys.stderr)
        sys.exit(code)
    return code == 0


def compile_all() -> None:
    """Compile the installed packages on all cores.

    pip would compile on one core, file by file, for a minute.
    """
    # Some packages contain files in another version's syntax: they are never imported, so errors are ignored.
    subprocess.call([PYTHON, "-W", "ignore", "-m", "compileall", "-qq", "-j", "0", ENVIRONMENT])


def test(arguments: list[str]) -> int:
    """Run all checks, then the tests; the first failure ends it.

    With arguments, run pytest alone.
    """
    if arguments:
        return run("-m", "pytest", *arguments)
    for check in CHECKS:
        code = run(*check)
        if code:
            return code
    return 0


def run(*arguments: str) -> int:
    """Run the environment's Python in the project folder."""
    return subprocess.call([PYTHON, *arguments], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
