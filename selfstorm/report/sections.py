"""The report of a run in sections."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np

from selfstorm.frames import Array
from selfstorm.metrics.nena import nena_nm
from selfstorm.metrics.registry import METRICS
from selfstorm.metrics.verdict import verdict
from selfstorm.report.checklist import checklist
from selfstorm.report.document import Block, Document, DocumentSection, FigureBlock, Paragraph, TableBlock, pairs
from selfstorm.report.evidence import RunEvidence
from selfstorm.report.methods import CITATION, methods_paragraph
from selfstorm.report.plots import brightness_png, display_range, drift_png, localizations_png, pictures_png, trends_png

MAX_NENA = 200_000  # localizations, the newest
MAX_EVENTS, MAX_HASH_BYTES = 40, 2**33
SIGNS = {"good": "✓ good", "warning": "△ warning", "bad": "■ bad", "none": "–"}
FACTS = (
    ("optics", "PSF"),
    ("camera", "camera"),
    ("fine_tuning", "fine-tuning of the PSF"),
    ("estimate", "kind of picture"),
    ("grade", "processing level"),
    ("motion", "time that it shows"),
    ("memory", "frames that it learned from"),
    ("state", "model before this picture"),
    ("model_hash", "model"),
)


def report_of(evidence: RunEvidence, now: datetime | None = None) -> Document:
    """Put the evidence of a run into a document."""
    made = (now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    sections = (
        DocumentSection("Result", tuple(_result(evidence))),
        DocumentSection("Quality", tuple(_quality(evidence))),
        DocumentSection("Localizations", tuple(_localizations(evidence))),
        DocumentSection("Drift", tuple(_drift(evidence))),
        DocumentSection("Bleaching", tuple(_bleaching(evidence))),
        DocumentSection("Every frame accounted for", tuple(_account(evidence))),
        DocumentSection("Camera, PSF and settings", tuple(_settings(evidence))),
        DocumentSection(
            "Methods, and how to cite", (Paragraph(methods_paragraph(evidence), quoted=True), Paragraph(CITATION))
        ),
        DocumentSection("Checklist for publication", tuple(checklist(evidence))),
        DocumentSection("Files and versions", tuple(_files(evidence))),
    )
    subtitle = f"Super-resolution report, made {made} by selfstorm {version('selfstorm')}"
    return Document(evidence.name, subtitle, tuple(section for section in sections if section.blocks))


def _result(evidence: RunEvidence) -> Iterator[Block]:
    judged = verdict(evidence.metrics)
    if judged is not None:
        yield Paragraph(f"Verdict: {judged.value}. {judged.explanation}", quoted=True)
    yield from (Paragraph(note) for note in evidence.notes)
    if evidence.picture is None or not evidence.windows:
        return
    window, shown, ranges = evidence.windows[-1], [], []
    if evidence.camera_mean is not None:
        shown.append(("Mean camera image", evidence.camera_mean, evidence.pixel_nm, "ADU", "gray"))
        ranges.append(f"camera {_range(evidence.camera_mean)} ADU")
    unit = evidence.unit or "photons/frame"
    shown.append(("Reconstruction", evidence.picture, evidence.picture_pixel_nm, unit, "inferno"))
    ranges.append(f"reconstruction {_range(evidence.picture)} {unit}")
    used = "" if window.used is None else f", {window.used} of them used"
    pixel = f"{evidence.picture_pixel_nm:.4g} nm" if evidence.picture_pixel_nm else "of unknown size"
    many = f" It is the newest of {len(evidence.windows)} pictures." if len(evidence.windows) > 1 else ""
    caption = (
        f"Frames {window.first} to {window.last}{used}; pixel of the reconstruction {pixel}.{many} Display: linear, "
        f"gamma 1, without the lowest .1 and the highest .2 per cent of the values, which are clipped "
        f"({'; '.join(ranges)}). Raw data are unchanged."
    )
    yield FigureBlock(caption, pictures_png(shown))


def _range(values: Array) -> str:
    """Write the range of values that is displayed."""
    low, high = display_range(values)
    return f"{low if abs(low) > high / 1000 else 0:.4g} to {high:.4g}"


def _quality(evidence: RunEvidence) -> Iterator[Block]:
    known = list(METRICS.known(evidence.metrics))
    if not known:
        yield Paragraph("The files hold no metrics of the pictures.")
        return
    estimate = str(evidence.record.get("estimate", ""))
    rows = []
    for metric, value in known:
        finding = metric.finding(value, estimate)
        rows.append((metric.label, finding.value, SIGNS[finding.level], finding.explanation))
    header = ("Metric", "Value", "Level", "Meaning, or cause and remedy")
    yield TableBlock("The newest picture.", header, tuple(rows))
    yield Paragraph(
        "Resolution is by Fourier ring correlation of two halves of the frames, the earlier against the later with "
        "the frames between them left out, each reconstructed alone with a density of its own; fidelity and the trust "
        "map are of the same halves. The share of false localizations is estimated in simulated frames with the same "
        "emitters and noise. The claimed precision is compared with the distances at which emitters are found again "
        "in the next frame (NeNA)."
    )
    drawn = trends_png(evidence.windows)
    if drawn is not None:
        many = len(evidence.windows)
        caption = f"Metrics of all {many} pictures, over the last frame of each; dashed: where a warning begins."
        yield FigureBlock(caption, drawn)


def _localizations(evidence: RunEvidence) -> Iterator[Block]:
    table = evidence.table
    if table is None:
        return
    order = np.argsort(table.frame, kind="stable")
    frame, yx_nm = table.frame[order], np.stack([table.y_nm, table.x_nm], 1)[order]
    photons, sd_nm = table.photons[order], table.sd_nm[order]
    frames = int(frame[-1] - frame[0]) + 1
    area = np.ptp(yx_nm, axis=0).prod() / 1e6
    density = f"{len(table) / frames / area:.2f} per µm² and frame" if area > 0 else ""
    third = max(frames // 3, 1)
    early, late = int((frame < frame[0] + third).sum()), int((frame > frame[-1] - third).sum())
    claimed = float(np.nanmedian(sd_nm))
    newest = slice(-MAX_NENA, None)
    repeated = nena_nm(frame[newest], yx_nm[newest], claimed) if table.frames is None else None
    yield FigureBlock(
        "Localizations per frame, photons and claimed precision; NeNA: precision with which emitters are found again.",
        localizations_png(frame, photons, sd_nm, repeated),
    )
    rows: list[tuple[str, object]] = [
        ("number", f"{len(table)} in {frames} frames"),
        ("density", density),
        ("over time", f"{early} in the first third of the frames, {late} in the last"),
        ("photons", f"{np.nanmedian(photons):.0f} (median)"),
        ("background", f"{np.nanmedian(table.background_photons):.1f} photons per camera pixel (median)"),
        ("claimed precision", f"{claimed:.1f} nm (median)"),
    ]
    if repeated is not None:
        said = METRICS["precision_ratio"].finding(repeated / claimed).explanation
        rows.append(("repeated precision", f"{repeated:.1f} nm by NeNA. {said}"))
    yield pairs("The table of localizations.", rows)


def _drift(evidence: RunEvidence) -> Iterator[Block]:
    if evidence.table is None:
        return
    from selfstorm.stream.drift import estimate_drift

    order = np.argsort(evidence.table.frame, kind="stable")
    yx_nm = np.stack([evidence.table.y_nm, evidence.table.x_nm], 1)[order]
    curve = estimate_drift(evidence.table.frame[order].astype(np.float64), yx_nm)
    if not len(curve.frame):
        yield Paragraph("There are too few localizations to find a drift.")
        return
    ends = curve.yx_nm[-1]
    caption = (
        "Drift of the sample against its first frames, by the localizations themselves: in all "
        f"{np.hypot(*ends):.0f} nm ({ends[1]:.0f} nm along x, {ends[0]:.0f} nm along y). The table of localizations is "
        "not corrected for it."
    )
    yield FigureBlock(caption, drift_png(curve))


def _bleaching(evidence: RunEvidence) -> Iterator[Block]:
    if evidence.brightness is None:
        return
    frames, mean = evidence.brightness
    third = max(len(mean) // 3, 1)
    early, late = mean[:third].mean(), mean[-third:].mean()
    caption = (
        f"Mean of the camera frames, {early:.0f} ADU in the first third of them and {late:.0f} ADU in the last, with "
        "the camera's offset and the background."
    )
    yield FigureBlock(caption, brightness_png(frames, mean))


def _account(evidence: RunEvidence) -> Iterator[Block]:
    account = evidence.account
    if account is None:
        yield Paragraph("No file says how many frames were sent.")
    else:
        whole = "the account is complete" if account.sent == account.delivered + account.lost else "it does not add up"
        sum_text = f"{account.sent} sent = {account.delivered} delivered + {account.lost} lost ({whole})"
        rows: list[tuple[str, object]] = [("frames", sum_text), ("of", account.covers)]
        rows += [("cause" if number == 0 else "", cause) for number, cause in enumerate(account.causes)]
        yield pairs("Frames sent, delivered and lost.", rows)
    serious = [event for event in evidence.events if event.level != "info"]
    if serious:
        left = f"; {len(serious) - MAX_EVENTS} more are in the manifest" if len(serious) > MAX_EVENTS else ""
        rows_of_events = tuple(
            (_clock(event.unix_ns), event.level, f"{event.text} [{event.code}]") for event in serious[:MAX_EVENTS]
        )
        yield TableBlock(
            f"Warnings and errors of the run, with the causes of losses{left}.",
            ("Time (UTC)", "Level", "Event"),
            rows_of_events,
        )


def _settings(evidence: RunEvidence) -> Iterator[Block]:
    facts: list[tuple[str, object]] = [
        ("camera pixel", f"{evidence.pixel_nm:.4g} nm in the sample" if evidence.pixel_nm else ""),
        *((label, evidence.record.get(key, "")) for key, label in FACTS),
    ]
    yield pairs("What the newest picture was made with.", facts)
    if evidence.settings:
        yield pairs("Settings.", evidence.settings)


def _files(evidence: RunEvidence) -> Iterator[Block]:
    versions = [(name, number) for name, number in evidence.versions.items()]
    yield pairs("Software that made the pictures.", [*versions, ("report", f"selfstorm {version('selfstorm')}")])
    rows = tuple((file.name, _size(file), _checksum(file)) for file in evidence.files)
    if rows:
        yield TableBlock("Files that this report was made from.", ("File", "Size", "SHA-256"), rows)


def _clock(unix_ns: int) -> str:
    try:
        return datetime.fromtimestamp(unix_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return "unknown"


def _size(file: Path) -> str:
    size = file.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _checksum(file: Path) -> str:
    if file.stat().st_size > MAX_HASH_BYTES:
        return "too large to sum up here"
    digest = sha256()
    with file.open("rb") as opened:
        while part := opened.read(2**20):
            digest.update(part)
    return digest.hexdigest()
