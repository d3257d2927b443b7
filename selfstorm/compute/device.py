"""The device that torch computes on, set up once per process.

Numbers are float32 in full everywhere: TF32, which a graphics card may use for matrix products and convolutions, is
off (docs/decisions/0016). The host reads a device's tensors at the end of a window; scalars in
between stay tensors, in float64 where the device has it.
"""

from __future__ import annotations

import os

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from selfstorm.errors import InputError

LAUNCH_S = 6e-6  # of an operation called from Python
DEVICES = ("auto", "cpu", "cuda", "mps")


def prepare_device(name: str = "auto") -> torch.device:
    """Set the process up for a device and return it.

    On the CPU one core is left to the camera and the network, and denormals are flushed: emitter maps are full of
    almost-zeros, which are ten times slower otherwise. numpy's matrices are small: on several busy cores they were
    measured to take a hundred times as long as on one.

    Args:
        name: one of DEVICES; 'auto' is CUDA, then MPS, then CPU.

    Raises:
        InputError: this machine has no such device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if name not in present:
        raise InputError(f"no such device '{name}'", where="device", hint=f"use one of {', '.join(DEVICES)}")
    if not present[name]:
        raise InputError(f"this machine has no usable {name} device", where="device", hint="use 'auto' or 'cpu'")
    threadpool_limits(1, "blas")
    device = torch.device(name)
    prepare_thread(device)
    if name == "cpu":
        torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
    if name == "cuda":
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    return device


def prepare_thread(device: torch.device) -> None:
    """Set a thread up for computing on a device, before its first computation.

    Whether denormals are flushed is a property of a thread. On Linux a thread takes it from the one that starts it, on
    Windows it does not.
    """
    if device.type == "cpu":
        torch.set_flush_denormal(True)


def launch_s(device: torch.device) -> float:
    """Return the seconds that the launch of an operation takes."""
    return 0.0 if device.type == "cpu" else LAUNCH_S


def precise(scalar: Tensor) -> Tensor:
    """Return a scalar in float64, for arithmetic as Python would do it.

    MPS has no float64: there the scalar is returned as it is.
    """
    return scalar if scalar.device.type == "mps" else scalar.double()


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work, before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def describe(device: torch.device) -> str:
    """Name the device for the user."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type != "cpu":
        return device.type
    threads = torch.get_num_threads()
    return f"cpu ({threads} thread{'s' if threads > 1 else ''})"
