"""A paragraph for a methods section, and what to cite."""

from __future__ import annotations

from importlib.metadata import version

from selfstorm.report.evidence import RunEvidence

CITATION = (
    "Cite the method as: Self-STORM: Deep Unrolled Self-Supervised Learning for Super-Resolution Microscopy, "
    "arXiv:2403.16974 (2024), and this software by its name and version (CITATION.cff). NeNA: Endesfelder et al., "
    "Histochemistry and Cell Biology 141, 629 (2014). Checklist: Schmied et al., Community-developed checklists for "
    "publishing images and image analyses, Nature Methods 21, 170 (2024)."
)


def methods_paragraph(evidence: RunEvidence) -> str:
    """Say in sentences how the newest picture was made.

    What no file states is left for the author in square brackets.
    """
    window = evidence.windows[-1] if evidence.windows else None
    software = next((number for name, number in evidence.versions.items() if name == "selfstorm"), version("selfstorm"))
    frames = f"frames {window.first} to {window.last}" if window else "[frames]"
    pixel, record = f"{evidence.pixel_nm:.4g} nm" if evidence.pixel_nm else "[pixel size]", evidence.record
    parts = [
        f"Images were reconstructed with Self-STORM live, version {software}, from {frames} of a movie with a camera "
        f"pixel of {pixel} in the sample.",
        f"PSF: {record.get('optics') or '[PSF]'}. Camera: {record.get('camera') or '[offset and gain]'}.",
    ]
    metrics = evidence.metrics
    if "resolution_nm" in metrics:
        parts.append(
            f"Resolution was {metrics['resolution_nm']:.0f} nm by Fourier ring correlation of the earlier and the "
            "later half of the frames, each reconstructed alone."
        )
    if evidence.table is not None:
        parts.append(f"The table holds {len(evidence.table)} localizations.")
    if evidence.account is not None:
        parts.append(f"Of {evidence.account.sent} frames {evidence.account.lost or 'none'} were lost.")
    return " ".join(parts)
