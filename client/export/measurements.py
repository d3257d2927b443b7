"""Tables of the line profile, the region and the trends, as CSV. Pure."""

from __future__ import annotations

from datetime import datetime

from client.export.csv_export import csv_text
from client.picture.field import field_of
from client.picture.pictures import PicturePair
from client.picture.profile import Point, profiles
from client.picture.region import CameraRegion, region_statistics
from client.trust.trends import Trend, TrendPoint


def profile_csv(pair: PicturePair, ends: tuple[Point, Point], width: float) -> str:
    """Tabulate the line profile in both pictures.

    Values are averaged over `width`, in the field's unit.
    """
    sr, raw = profiles(pair, *ends, width=width)
    unit = field_of(pair).unit.replace("µ", "u")
    (x0, y0), (x1, y1) = ends
    facts = _picture_facts(pair) | {
        "line": f"from x {x0:.4f}, y {y0:.4f} to x {x1:.4f}, y {y1:.4f} {unit}",
        "averaging width": f"{width:.4g} {unit}",
        "FWHM super-resolved": "none" if sr.fwhm is None else f"{sr.fwhm:.4g} {unit}",
        "FWHM raw mean": "none" if raw is None or raw.fwhm is None else f"{raw.fwhm:.4g} {unit}",
    }
    columns = [f"distance_{unit}", f"super_resolved_{_column(pair.sr.unit)}"]
    values = [sr.distance.tolist(), sr.values.tolist()]
    if raw is not None and pair.raw is not None:
        columns.append(f"raw_mean_{_column(pair.raw.unit)}")
        values.append(raw.values.tolist())
    return csv_text(facts, columns, zip(*values, strict=True))


def region_csv(pair: PicturePair, region: CameraRegion) -> str:
    """Tabulate the statistics of a region in both pictures."""
    facts = _picture_facts(pair) | {
        "region": f"x {region.x}, y {region.y}, {region.width} x {region.height} camera pixels",
    }
    columns = ("picture", "unit", "sum", "mean", "min", "max")
    rows = [(one.picture, one.unit, one.total, one.mean, one.low, one.high) for one in region_statistics(pair, region)]
    return csv_text(facts, columns, rows)


def trends_csv(trend: Trend) -> str:
    """Tabulate all metrics of every window, and the windows skipped."""
    keys = sorted(trend.keys)
    columns = ("number", "run", "window", "windows_skipped", "preview_latency_ms", *keys)
    return csv_text({}, columns, [_trend_row(one, keys) for one in trend.samples])


def _trend_row(one: TrendPoint, keys: list[str]) -> tuple[object, ...]:
    window = (None, None) if one.refined is None else (one.refined.run, one.refined.window)
    return (one.number, *window, one.skipped, one.preview_ms, *(one.metrics.get(key) for key in keys))


def _picture_facts(pair: PicturePair) -> dict[str, object]:
    header = pair.sr.header
    published = datetime.fromtimestamp(header.published_unix_ns / 1e9).astimezone()
    facts = {"run": header.run, "window": header.window, "published": published.isoformat(timespec="seconds")}
    return facts | {"frames": f"{header.first_seq} to {header.last_seq}", "pixel_nm": header.pixel_nm or "unknown"}


def _column(unit: str) -> str:
    """Write a unit as part of a name: 'photons_per_frame'."""
    return unit.lower().replace("/", "_per_").replace(".", "")
