"""The published Self-STORM: a sequence-specific autoencoder.

It is the reference of the benchmarks.

A normalised frame is enlarged and encoded into emitters by an unrolled LISTA (Gregor & LeCun 2010); two convolutions
decode them into the enlarged frame again, and the loss is the L1 distance between the two:

    raw (T, H, W) -> normalise -> enlarge x4 -> LISTA -> emitters (T, 4H, 4W) -> two convolutions -> enlarged frame
                                                            std over T, ridges -> picture (4H, 4W)

Numbers equal those of the authors' public code, so its oddities are kept where they show in a number:

* The blur that finds emitters runs across frames too and is truncated to whole levels, so an emitter in one frame
  extends into the neighbouring frames, and a window normalises differently from a longer movie.
* A box overlapping another is added to it whole, pixels outside its own region included.
* Their code calls the encoder `decoder`. Parameters keep their published names, so that state dicts go both ways.
* `decoder.prox`, `decoder.conv_i` and `decoder.conv_i2` reach no output. The authors compute and discard them; here
  they only are in the state dict. No gradient ever reaches them.
* Their thresholds' `init_beta` writes alpha, but the model never passes it: only 0.95 and 8 are ever used.
* The picture is the std over frames, not their sum, and two ridge filters then draw lines: amplitudes are lost.

Reference:
    Ben Sahel & Eldar, "Self-STORM: Deep Unrolled Self-Supervised Learning for Super-Resolution Microscopy", arXiv
    2403.16974.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from selfstorm.errors import InputError

Stack = NDArray[np.float32]

# Initial values of the smooth threshold: position between the quantiles, and steepness.
ALPHA, BETA = 0.95, 8.0
QUANTILES = (0.01, 0.99)
# A threshold at or below this counts as none.
NO_THRESHOLD = 1e-14
# Gaussian kernels start 1 SR pixel wide, cut where they fall below this share of their peak.
KERNEL_SIGMA_PX, KERNEL_CUT = 1.0, 1e-6
BLUR_LEVELS, BLUR_SIGMA = 255, 1.0
# Neighbours of a pixel (t, y, x) in its own frame: the four that share an edge.
BESIDE = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))])
RIDGE_SIGMAS_PX = (2.0, 1.0)


@dataclass(frozen=True)
class PaperSettings:
    """Hyper-parameters, by default those of the authors' notebook.

    Attributes:
        scale: SR pixels along a camera pixel.
        kernel: side of the convolutions in SR pixels, odd.
        training_iterations: LISTA iterations in training.
        picture_iterations: LISTA iterations for the picture.
        learning_rate: of Adam.
        batch: frames.
        mask_threshold: quantile of a frame's pixels above which a pixel is bright, 0 to 1.
        label_threshold: level of the blurred bright pixels above which a region is an emitter, 0 to 255.
    """

    scale: int = 4
    kernel: int = 15
    training_iterations: int = 1
    picture_iterations: int = 2
    learning_rate: float = 1e-3
    batch: int = 16
    mask_threshold: float = 0.93
    label_threshold: float = 130.0

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"{self.kernel} is no odd size", where="kernel", hint="use 15, as published")
        for name in ("scale", "training_iterations", "picture_iterations", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{getattr(self, name)} is less than 1", where=name)
        if not 0 <= self.mask_threshold <= 1:
            raise InputError(f"{self.mask_threshold} is no quantile", where="mask_threshold", hint="use 0 to 1")


def normalise(stack: NDArray[Any], mask_threshold: float = 0.93, label_threshold: float = 130.0) -> Stack:
    """Cut emitters out of their frames and standardise each.

    The minimum of each is 0, and so is everything outside.

    Args:
        stack: (T, H, W) in any unit: a frame's offset and gain cancel. The authors' is square; this one need not be.
        mask_threshold: see PaperSettings.
        label_threshold: see PaperSettings.

    Returns:
        (T, H, W) float32 >= 0, in standard deviations of the box around an emitter (mode 'original').
    """
    if stack.ndim != 3 or 0 in stack.shape:
        raise InputError(f"a stack of shape {stack.shape}", hint="give (T, H, W)")
    quantile = np.quantile(stack.reshape(len(stack), -1), mask_threshold, axis=1)
    bright = (stack > quantile[:, None, None]) * BLUR_LEVELS
    labels, _ = ndimage.label(ndimage.gaussian_filter(bright, BLUR_SIGMA) > label_threshold, structure=BESIDE)
    normalised = np.zeros(stack.shape)
    for box in ndimage.find_objects(labels):
        pixels = stack[box].astype(float)
        spread = pixels.std()
        if spread > 0:
            standard = (pixels - pixels.mean()) / spread
            normalised[box] += standard - standard.min()
    return normalised.astype(np.float32)


class SmoothThreshold(nn.Module):
    """LISTA's threshold, with a smooth step.

    x+ / (1 + exp(-beta (x - theta) / theta)), theta = q1 + alpha (q99 - q1) of the frame. Unlike with soft
    thresholding, values above it keep their amplitude.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor([ALPHA]))
        self.beta = nn.Parameter(torch.tensor([BETA]))

    def forward(self, x: Tensor) -> Tensor:
        """Threshold frames (B, 1, H, W)."""
        low, high = torch.quantile(x.flatten(2), x.new_tensor(QUANTILES), dim=2)[..., None, None]
        theta = low + (high - low) * self.alpha
        there = theta > NO_THRESHOLD
        steepness = self.beta / torch.where(there, theta, 1.0)
        bright = F.relu(x)
        return bright * torch.sigmoid(steepness * (bright - torch.where(there, theta, 0.0)))


class ListaLayer(nn.Module):
    """One unrolled iteration, x <- P_f(y + x - W2 P(W1 x)).

    All iterations share the same weights.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.prox, self.prox_f = SmoothThreshold(), SmoothThreshold()
        self.conv1, self.conv2 = _convolution(kernel), _convolution(kernel)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        """Iterate once on emitters x of enlarged frames y, both (B, 1, sH, sW)."""
        explained = self.conv2(self.prox(self.conv1(x)))
        emitters: Tensor = self.prox_f(y + x - explained)
        return emitters


class Lista(nn.Module):
    """The encoder of enlarged frames into emitters."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.block = ListaLayer(kernel)
        # Published, and without effect.
        self.prox, self.conv_i, self.conv_i2 = SmoothThreshold(), _convolution(kernel), _convolution(kernel)

    def forward(self, y: Tensor, iterations: int) -> Tensor:
        """Find the emitters of enlarged frames y (B, 1, sH, sW).

        The iterations start from y itself.
        """
        x = y
        for _ in range(iterations):
            x = self.block(y, x)
        return x


class PaperModel(nn.Module):
    """The autoencoder: four kernels and two thresholds, 904 parameters.

    Warm start: go on training the same model (and optimiser) on the next window.
    """

    def __init__(self, settings: PaperSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or PaperSettings()
        kernel = self.settings.kernel
        self.decoder = Lista(kernel)
        self.conv1, self.conv2 = _convolution(kernel), _convolution(kernel)

    def enlarge(self, frames: Tensor) -> Tensor:
        """Enlarge frames (B, 1, H, W) to (B, 1, sH, sW), every pixel repeated."""
        return F.interpolate(frames, scale_factor=self.settings.scale, mode="nearest")

    def forward(self, frames: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        """Encode and decode normalised frames (B, 1, H, W).

        Returns:
            Enlarged frames and emitters, both (B, 1, sH, sW).
        """
        emitters: Tensor = self.decoder(self.enlarge(frames), iterations)
        return F.relu(self.conv2(F.relu(self.conv1(emitters)))), emitters


def optimiser_of(model: PaperModel) -> torch.optim.Optimizer:
    """Make Adam as published.

    Keep it from window to window for a warm start with its momentum.
    """
    return torch.optim.Adam(model.parameters(), lr=model.settings.learning_rate)


def train(
    model: PaperModel,
    stack: Stack,
    steps: int,
    *,
    optimiser: torch.optim.Optimizer | None = None,
    generator: torch.Generator | None = None,
) -> list[float]:
    """Fine-tune the model on one window.

    The loss is the mean of |decoded - enlarged| over a batch.

    Args:
        model: to train.
        stack: (T, H, W) float32, normalised.
        steps: number of batches.
        optimiser: to go on with; None for a new one.
        generator: of the CPU, shuffles the frames of every epoch; None for frames in order.

    Returns:
        The loss before each step.
    """
    optimiser = optimiser or optimiser_of(model)
    losses = []
    for frames in itertools.islice(_epochs(model, stack, generator), steps):
        optimiser.zero_grad()
        decoded, _ = model(frames, model.settings.training_iterations)
        loss = F.l1_loss(decoded, model.enlarge(frames))
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def picture(model: PaperModel, stack: Stack, *, ridges: bool = True) -> Stack:
    """Super-resolve one window: std of the emitters over frames, and ridges.

    Args:
        model: trained.
        stack: (T, H, W) float32, normalised.
        ridges: apply the ridge filters.

    Returns:
        (sH, sW) float32 >= 0; with ridges the maximum is 1, without them in units of the normalised stack.

    Reference:
        Meijering et al., Cytometry A 58, 167 (2004), for the ridges.
    """
    total = squares = torch.zeros((), dtype=torch.float64)
    with torch.no_grad():
        for index in torch.arange(len(stack)).split(model.settings.batch):
            _, emitters = model(_frames(model, stack, index), model.settings.picture_iterations)
            light = emitters[:, 0].cpu().double()
            total, squares = total + light.sum(0), squares + light.square().sum(0)
    variance = squares / len(stack) - (total / len(stack)).square()
    sr: Stack = variance.clamp(min=0).sqrt().numpy().astype(np.float32)
    if ridges:
        from skimage.filters import meijering  # here, because it imports much, and our own model needs none of it
    for sigma_px in RIDGE_SIGMAS_PX if ridges else ():
        sr = meijering(sr, sigmas=[sigma_px], black_ridges=False)
    return sr


def _convolution(kernel: int) -> nn.Conv2d:
    """Make a convolution of the same size in and out, without bias.

    It starts as a Gaussian of unit L2 norm.
    """
    convolution = nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False)
    offset = torch.arange(kernel, dtype=torch.float64) - kernel // 2
    profile = (-offset.square() / (2 * KERNEL_SIGMA_PX**2)).exp()
    gaussian = torch.outer(profile, profile)
    gaussian[gaussian < KERNEL_CUT] = 0
    with torch.no_grad():
        convolution.weight.copy_(gaussian / gaussian.norm())
    return convolution


def _epochs(model: PaperModel, stack: Stack, generator: torch.Generator | None) -> Iterator[Tensor]:
    """Iterate over batches without end, every frame once an epoch."""
    while True:
        order = torch.arange(len(stack)) if generator is None else torch.randperm(len(stack), generator=generator)
        for index in order.split(model.settings.batch):
            yield _frames(model, stack, index)


def _frames(model: PaperModel, stack: Stack, index: Tensor) -> Tensor:
    """Return frames of the stack as (B, 1, H, W) on the model's device."""
    return torch.from_numpy(stack[index.numpy()])[:, None].to(model.conv1.weight)
