"""The community's checklist for publishing images and their analysis.

Reference:
    Schmied et al., Community-developed checklists for publishing images and image analyses, Nature Methods 21, 170
    (2024), of QUAREP-LiMi. The items here are its minimal ones, and what localization microscopy adds.
"""

from __future__ import annotations

from collections.abc import Iterator

from selfstorm.report.document import Block, Paragraph, TableBlock
from selfstorm.report.evidence import RunEvidence

YES, TO_STATE = "✓ here", "□ to state"


def checklist(evidence: RunEvidence) -> Iterator[Block]:
    """List what a publication has to state, and whether it is here."""
    rows = [(item, YES if known else TO_STATE, where) for item, known, where in _items(evidence)]
    yield Paragraph(
        "After the community-developed checklists for publishing images and image analyses (QUAREP-LiMi). What no file "
        "of the run holds is left to the author."
    )
    yield TableBlock("Checklist.", ("Item", "Status", "Where in this report, or what to state"), tuple(rows))


def _items(evidence: RunEvidence) -> Iterator[tuple[str, bool, str]]:
    seen, settings = evidence.picture is not None, dict(evidence.settings)
    yield "Scale bar, pixel size", seen and bool(evidence.picture_pixel_nm), "Result, figure 1"
    yield "Intensity scale, display range, gamma", seen, "Result: colour bars, caption"
    yield "Colour maps that all readers can tell apart", seen, "grey and inferno, one channel each"
    yield "Cropping, resizing, rotation", seen, "none; each picture is the whole field"
    yield "Raw and processed data side by side", evidence.camera_mean is not None, "Result, figure 1"
    yield "Number of frames, which of them are shown", bool(evidence.windows), "Result, caption"
    yield "Software, versions, parameters", bool(evidence.versions), "Files and versions; Camera, PSF and settings"
    yield "Every step of processing", bool(evidence.record), "Methods; Camera, PSF and settings"
    yield "Resolution and how it was measured", "resolution_nm" in evidence.metrics, "Quality"
    yield "Localization precision", evidence.table is not None, "Localizations"
    yield "Drift and its correction", evidence.table is not None, "Drift"
    yield "Data left out or lost", evidence.account is not None, "Every frame accounted for"
    yield "Camera: offset, gain", bool(evidence.record.get("camera")), "Camera, PSF and settings"
    yield "Camera: model", bool(settings.get("camera")), settings.get("camera") or "maker, model, mode of readout"
    yield "Exposure", bool(settings.get("exposure")), settings.get("exposure") or "exposure and frame rate"
    yield "Objective, filters, excitation", False, "magnification, NA, immersion; wavelengths, power at the sample"
    yield "Sample", False, "specimen, label, fixation, buffer, temperature"
    yield "Replicates, choice of the field shown", False, "how many, and how the field was chosen"
    yield "Where the raw data are", False, "repository and identifier; their checksums are below"
