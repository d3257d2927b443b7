"""Setup of a process of tiles, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from selfstorm.physics.camera import Camera
from selfstorm.physics.operators import Grid
from selfstorm.psf.models import psf_from_dict, psf_to_dict
from selfstorm.stream.tiled.plan import Tile, tiles_of
from selfstorm.stream.tiled.tile import TileSettings


class Setup(BaseModel):
    """The tiles of one process.

    Attributes:
        field: height and width of the field, camera pixels.
        scale: SR cells along a camera pixel.
        pixel_nm: camera pixel in the sample.
        psf: the optics.
        offset_adu: of the camera.
        gain_adu_per_electron: of the camera.
        saturation_adu: value at which it clips; None where it does not.
        map_bytes: memory of a batch of maps.
        side_px: longest side of a tile.
        halo_px: pixels around it.
        chosen: numbers of the tiles, among all of the field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: tuple[int, int]
    scale: int
    pixel_nm: float
    psf: dict[str, Any]
    offset_adu: float
    gain_adu_per_electron: float
    saturation_adu: float | None
    map_bytes: int
    side_px: int
    halo_px: int
    chosen: list[int]

    @classmethod
    def of(cls, shared: TileSettings, side_px: int, halo_px: int, chosen: Sequence[int]) -> Setup:
        """Describe the chosen tiles of a field."""
        grid, camera, clips = shared.grid, shared.camera, shared.saturation_adu
        return cls(
            field=(grid.height, grid.width),
            scale=grid.scale,
            pixel_nm=grid.pixel_nm,
            psf=psf_to_dict(shared.psf),
            offset_adu=camera.offset_adu,
            gain_adu_per_electron=camera.gain_adu_per_electron,
            saturation_adu=None if clips == float("inf") else clips,
            map_bytes=shared.map_bytes,
            side_px=side_px,
            halo_px=halo_px,
            chosen=list(chosen),
        )

    @property
    def shared(self) -> TileSettings:
        """Settings of the tiles."""
        return TileSettings(
            Grid(*self.field, self.scale, self.pixel_nm),
            psf_from_dict(self.psf),
            Camera(self.offset_adu, self.gain_adu_per_electron),
            float("inf") if self.saturation_adu is None else self.saturation_adu,
            self.map_bytes,
        )

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The chosen tiles."""
        every = tiles_of(self.field, self.side_px, self.halo_px)
        return tuple(every[number] for number in self.chosen)
