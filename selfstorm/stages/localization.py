"""Stage C: candidates -> a table of localizations, a frame at a time.

All emitters of a batch of frames are fitted together (maximum a posteriori, Poisson likelihood) with
separable-surrogate step sizes (De Pierro 1995; Erdogan & Fessler 1999): each emitter's curvature includes what it
shares with its neighbours, so crowds never overshoot. Emitters that the likelihood does not need are dropped, and a
score test finds those that are two (Rao's score for the PSF's second derivative along a direction, the emitter's own
spot projected out).
"""

from __future__ import annotations

import torch
from torch import Tensor

from selfstorm.compute.batching import BYTES_PER_NUMBER
from selfstorm.compute.compiled import CompiledOp
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.compute.device import precise
from selfstorm.errors import InputError
from selfstorm.localizations import Localizations
from selfstorm.physics.operators import Grid
from selfstorm.psf.canvas import CORE_PX, Canvas
from selfstorm.psf.emitters import Emitters
from selfstorm.psf.models import Psf
from selfstorm.psf.patch_layout import MAX_GRAPH_WINDOWS, PatchLayout, laid_out
from selfstorm.psf.profiles import HALO_PX, profiles
from selfstorm.psf.rendering import Patches, Windows
from selfstorm.stages.candidates import candidates
from selfstorm.stages.emitter_evidence import (
    best_directions,
    directions,
    halves,
    likelihood_ratio,
    middles,
    pair_evidence,
    residuals,
    without_own_spot,
)
from selfstorm.stages.emitters import sample_maps
from selfstorm.stages.fit_steps import fitted, prior_slopes
from selfstorm.stages.localization_settings import LOCALIZATION_SETTINGS, LocalizationSettings
from selfstorm.stages.stage import Batch, Run, Sample, Stage

MIN_PHOTONS = 20.0
MIN_SPLIT_PHOTONS = 60.0
PRIOR_WIDTH_NM = 40.0  # length over which the slope of the density holds
MIN_BACKGROUND_SHARE = 0.2  # of the background: lower bound of the model under a spot's negative lobes
CANVASES, PATCH_BYTES, MODE_BYTES = 8, 90, 600  # allocated at once: per frame, per patch pixel, per mode

_likelihood_ratio, _residuals, _middles = CompiledOp(likelihood_ratio), CompiledOp(residuals), CompiledOp(middles)
_without_own_spot, _best_directions = CompiledOp(without_own_spot), CompiledOp(best_directions)
_halves, _pair_evidence = CompiledOp(halves), CompiledOp(pair_evidence)


def localize(
    y: Tensor,
    start: Emitters,
    background: Tensor,
    density: Tensor,
    psf: Psf,
    grid: Grid,
    settings: LocalizationSettings | None = None,
    read_variance: Tensor | None = None,
    graphs: Graphs | None = None,
) -> Localizations:
    """Localize the emitters of some frames with sub-pixel precision.

    All are fitted at once: a few thousand are best. Emitters in the padding are fitted, and left out of the result.

    Args:
        y: (T, H, W) photons.
        start: `candidates` of their emitter maps.
        background: (T, H, W) or (H, W) photons.
        density: (rows, columns) on the padded grid, any unit.
        psf: of the microscope.
        grid: of the field.
        settings: of the fit; None: 'fast'.
        read_variance: (H, W) photons^2, of each pixel beside its light's; None for none.
        graphs: CUDA graphs of this PSF on this grid; None for none.

    Raises:
        InputError: the shapes do not belong together.
    """
    field = (grid.height, grid.width)
    if y.shape[1:] != field or density.shape != grid.cells:
        raise InputError(f"frames {tuple(y.shape)}, density {tuple(density.shape)} for {grid}")
    if background.shape not in (y.shape, field):
        raise InputError(f"a background of shape {tuple(background.shape)} for frames of {tuple(y.shape)}")
    slopes, settings = prior_slopes(density, grid), settings or LOCALIZATION_SETTINGS["fast"]
    return JointFit(y, background.expand(y.shape), slopes, psf, grid, settings, read_variance, graphs).run(start)


class JointFit:
    """Joint fit of all emitters of a batch of frames.

    A pixel's read noise of variance v is Poisson light of v photons, whose mean is known: added to the data and to the
    background alike, it leaves the mean and widens the likelihood.

    Reference:
        Huang et al., Nature Methods 10, 653 (2013), for the likelihood of sCMOS cameras.
    """

    def __init__(
        self,
        y: Tensor,
        background: Tensor,
        slopes: tuple[Tensor, Tensor],
        psf: Psf,
        grid: Grid,
        settings: LocalizationSettings,
        read_variance: Tensor | None = None,
        graphs: Graphs | None = None,
    ) -> None:
        self.grid, self.settings, self.graphs = grid, settings, graphs
        light = background.clamp(min=1e-2)
        if read_variance is not None:
            y, background = y + read_variance, light + read_variance
        self.slopes = tuple(slope * settings.prior_weight for slope in slopes)
        self.canvas = Canvas(len(y), grid.height, grid.width, grid.pad_px, y.device)
        self.y = self.canvas.framed(y.clamp(min=0))
        self.inside = self.canvas.framed(torch.ones_like(y))
        self.background = self.canvas.framed(background.clamp(min=1e-2), fill=1.0)
        self.light, self.read_variance = self.background, None
        if read_variance is not None:
            self.light = self.canvas.framed(light, fill=1.0)
            self.read_variance = self.canvas.framed(read_variance.expand(y.shape))
        self.min_expected = MIN_BACKGROUND_SHARE * self.background
        self.min_rest = (0.05 * precise(self.light.mean())).to(y.dtype)
        self.fit_tables = profiles(psf, grid.pixel_nm, CORE_PX, 2, y.device, y.dtype)
        self.patch_tables = profiles(psf, grid.pixel_nm, 1, 3, y.device, y.dtype)
        curve = settings.prior_weight * (grid.pixel_nm / PRIOR_WIDTH_NM) ** 2
        self.prior_curve = y.new_full((), curve)  # a tensor: kernels are compiled anew for another number

    def run(self, start: Emitters) -> Localizations:
        """Fit candidates, split and prune them, and measure what remains."""
        settings = self.settings
        e = self.prune(self.fit(start, settings.first))
        for _ in range(settings.rounds):
            first = len(e.frame)
            pairs, chosen, layout = self._kept(*self.split(e))
            merged = self.merge(self.fit(pairs, settings.again, layout), chosen[first:] - first)
            e, _, layout = self._kept(*merged)
            e = self.prune(e, layout)
        return self._measured(e)

    def fit(self, e: Emitters, steps: int, layout: PatchLayout | None = None) -> Emitters:
        """Make over-relaxed steps of the separable surrogates.

        Args:
            e: emitters.
            steps: number of steps.
            layout: of e, where it is known.
        """
        if not len(e.frame):
            return e
        layout = layout or self._layout(e)
        places = layout.places

        def stepped(*inputs: Tensor) -> tuple[Tensor, ...]:
            windows = places.of(*inputs[:4])
            return fitted(steps, self.fit_tables, self.canvas, self.grid.scale, windows, inputs[4:7], inputs[7:])

        light = self.background, self.min_expected, self.inside, self.y, *self.slopes, self.prior_curve
        inputs = *places.tensors, *layout.spread(*e[1:]), *light
        if self.graphs is not None and layout.count <= MAX_GRAPH_WINDOWS:
            y, x, n = self.graphs.run(("fit", steps), stepped, *inputs)
        else:
            y, x, n = stepped(*inputs)
        return Emitters(e.frame, *layout.collect(y, x, n))

    def prune(self, e: Emitters, layout: PatchLayout | None = None) -> Emitters:
        """Drop emitters that the likelihood does not need; fit the rest again.

        Twice the log-likelihood ratio, the others fixed, must exceed min_ratio.

        Args:
            e: emitters.
            layout: of e, where it is known.
        """
        if not len(e.frame):
            return e
        e, _, layout = self._kept(e, self._needed(e, layout))
        return self.fit(e, self.settings.settle, layout)

    def _needed(self, e: Emitters, layout: PatchLayout | None) -> Tensor:
        """Return which emitters the likelihood needs: (E,) bool."""
        patches = Patches(self.canvas, self.patch_tables, e)
        maps = self.expected(e, layout), self.y, self.inside
        ratio = _likelihood_ratio(e.photons, patches.spot(0, 0), *map(patches.of, maps), self.min_rest)
        return (ratio > self.settings.min_ratio) & (e.photons > MIN_PHOTONS)

    def split(self, e: Emitters) -> tuple[Emitters, Tensor]:
        """Split emitters whose residuals are those of two.

        Returns:
            First halves of all emitters, then their second halves; and which of them to keep, (2 E,) bool.
        """
        if not len(e.frame):
            return e, e.frame.bool()
        patches = Patches(self.canvas, self.patch_tables, e)
        weight, residual = (patches.of(each).flatten(1) for each in _residuals(self.y, self.expected(e), self.inside))
        # the spot, and its second derivatives d2/dy2, d2/dydx and d2/dx2
        shapes = torch.stack([patches.spot(*orders).flatten(1) for orders in ((0, 0), (2, 0), (1, 1), (0, 2))], 1)
        scores = (shapes @ residual[:, :, None])[:, 1:, 0]
        gram = _without_own_spot((shapes * weight[:, None, :]) @ shapes.mT)
        c, s, direction = directions(weight.device, weight.dtype)
        score = scores @ direction.T
        best, z, variance = _best_directions(score, gram @ direction.T, direction)
        pair = (z > self.settings.split_z) & (e.photons > MIN_SPLIT_PHOTONS)
        edges = self.canvas.pad_px, *self.canvas.field
        parted = _halves(e.y_px, e.x_px, e.photons, pair, best, score, variance, c, s, *edges)
        return Emitters(torch.cat([e.frame, e.frame]), *parted), torch.cat([torch.ones_like(pair), pair])

    def merge(self, e: Emitters, of: Tensor) -> tuple[Emitters, Tensor]:
        """Merge pairs that fit little better than one emitter in their middle.

        A score test over many directions finds pairs in noise, and neither half can be dropped while the other stays.

        Args:
            e: emitters.
            of: indices of those whose second halves are the last of e.

        Returns:
            Emitters, and which of them remain, (E,) bool.
        """
        if not len(of):
            return e, torch.ones_like(e.frame, dtype=torch.bool)
        first = len(e.frame) - len(of)
        one, two = e.where(of), Emitters(*(values[first:] for values in e))
        middle = Emitters(one.frame, *_middles(*one[1:], *two[1:]))
        patches = Patches(self.canvas, self.patch_tables, middle)
        spots = patches.spots(one), patches.spots(two), patches.spots(middle)
        maps = self.expected(e), self.background, self.y, self.inside
        ratio, crowd = _pair_evidence(*spots, *map(patches.of, maps))
        apart = ratio > self.settings.min_pair_ratio / crowd
        keep = torch.ones(len(e.frame), dtype=torch.bool, device=of.device)
        keep[first:] = apart
        merged = (torch.where(apart, *both) for both in zip(one[1:], middle[1:], strict=True))
        kept = (values.index_copy(0, of, some) for values, some in zip(e[1:], merged, strict=True))
        return Emitters(e.frame, *kept), keep

    def _kept(self, e: Emitters, keep: Tensor) -> tuple[Emitters, Tensor, PatchLayout]:
        """Select emitters; return them, their indices and their layout."""
        return laid_out(self.canvas, self.fit_tables, e, keep)

    def _layout(self, e: Emitters) -> PatchLayout:
        return PatchLayout(self.canvas, self.fit_tables, e)

    def expected(self, e: Emitters, layout: PatchLayout | None = None) -> Tensor:
        """Return the photons expected on the canvas.

        Args:
            e: emitters.
            layout: of e, where it is known.
        """
        layout = layout or self._layout(e)
        y, x, n = layout.spread(*e[1:])
        return self._over_background(Windows(self.fit_tables, layout.places, y, x).add(n))

    def _over_background(self, spots: Tensor) -> Tensor:
        """Add the background to spots; the sum is kept > 0.

        A PSF cut to a few modes is slightly negative in places.
        """
        spots.add_(self.background)
        return torch.maximum(spots, self.min_expected, out=spots)

    def _measured(self, e: Emitters) -> Localizations:
        """Return the localizations of emitters in the field, with precision."""
        height, width = self.canvas.field
        e = e.where(torch.argsort(e.frame, stable=True))
        shown = (e.y_px >= 0) & (e.y_px < height) & (e.x_px >= 0) & (e.x_px < width)
        e, _, layout = self._kept(e, shown)
        none = e.y_px.new_zeros(0)
        if not len(e.frame):
            return Localizations(e.frame, none, none, none, none.reshape(0, 2), none, none, none)
        expected = self.expected(e, layout)
        ratio = self.inside / expected
        patches = Patches(self.canvas, self.patch_tables, e)
        shared, own = patches.information(e.photons, ratio)
        pixel_nm = self.grid.pixel_nm
        places = patches.of(self.inside).sum((1, 2)).clamp(min=1)
        background = (patches.of(self.light * self.inside)).sum((1, 2)) / places
        # mean squared residual around the emitter over its Poisson variance: above 1 with read noise
        of_light = ratio
        if self.read_variance is not None:
            of_light = self.inside / (expected - self.read_variance).clamp(min=1e-2)
        excess = patches.of((self.y - expected) ** 2 * of_light).sum((1, 2)) / places
        return Localizations(
            frame=e.frame,
            y_nm=e.y_px * pixel_nm,
            x_nm=e.x_px * pixel_nm,
            photons=e.photons,
            sd_nm=shared.sqrt() / own.clamp(min=1e-12) * pixel_nm,
            crowding=(shared / own.clamp(min=1e-12)).mean(1),
            background_photons=background,
            background_sd=(background * excess).sqrt(),
        )


def _bytes(batch: Batch) -> int:
    """Count canvases of the frames and patches of the emitters.

    A patch is a square of the window's side, and its mode profiles.
    """
    imaging, grid = batch.imaging, batch.imaging.grid
    side = 2 * min(max(imaging.reach_px, HALO_PX[0]), HALO_PX[1]) + 1
    edge = 2 * (grid.pad_px + HALO_PX[1]) + CORE_PX
    canvas = batch.frames * (grid.height + edge) * (grid.width + edge) * BYTES_PER_NUMBER
    emitter = PATCH_BYTES * side**2 + MODE_BYTES * imaging.separable.terms
    return CANVASES * canvas + batch.emitters * emitter


def _prepare(sample: Sample) -> Run:
    maps, grid, y = sample_maps(sample), sample.imaging.grid, sample.y
    start, flat = candidates(maps, grid), y.new_ones(grid.cells)
    return lambda iterations: localize(y, start, torch.ones_like(y), flat, sample.psf, grid)


LOCALIZATION = Stage(
    "localizations",
    _bytes,
    _prepare,
    batched=True,
    costs={"localizations fast": 15.0, "localizations best": 27.0},
    estimates=("fused",),
)
