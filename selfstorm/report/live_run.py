"""Evidence in the manifest of a live run, and in the files that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from glob import escape
from hashlib import blake2b
from pathlib import Path

from selfstorm.frames import StreamInfo
from selfstorm.io.picture_formats import read_records
from selfstorm.report.camera_frames import with_movie
from selfstorm.report.evidence import FrameAccount, LoggedEvent, RunEvidence, WindowRecord, drawable
from selfstorm.report.manifest_file import ManifestPart, RunPart, WindowPart, read_manifest
from selfstorm.report.saved_pictures import counted, exists, with_picture, with_table


def read_live_run(path: Path) -> RunEvidence:
    """Read what a manifest says, and the files that it names.

    Raises:
        InputError: it is no manifest.
    """
    run, parts = read_manifest(path)
    windows = [part.window for part in parts if part.window is not None]
    stream = next((part.stream for part in reversed(parts) if part.stream is not None), None)
    evidence = RunEvidence(
        f"Run {run.run[:8]}",
        tuple(_window_of_manifest(window) for window in windows),
        pixel_nm=stream.pixel_nm if stream else None,
        account=_account(parts),
        events=tuple(_events(parts)),
        settings=tuple(_settings(run, stream)),
        versions=run.versions,
        files=(path,),
    )
    saved = _saved(path, run, "save", lambda file: _is_of_run(file, run.run))
    if saved is not None and windows:
        evidence = with_picture(replace(evidence, record=read_records(saved)[-1]), saved)
        evidence = _compared(evidence, windows)
    else:
        evidence = replace(evidence, notes=("No picture of the run was saved, or it is not where it was saved.",))
    evidence = replace(evidence, account=counted(evidence.record) or evidence.account)
    evidence = with_table(evidence, _saved(path, run, "localizations", lambda file: file.is_file()))
    record = _configured(run, "record")
    if record is not None and stream is not None and windows:
        recorded = [file for file in (record, path.parent / record.name) if exists(file) and file.is_dir()]
        return with_movie(evidence, recorded[0], account=False) if recorded else evidence
    return evidence


def _compared(evidence: RunEvidence, windows: Sequence[WindowPart]) -> RunEvidence:
    """Compare the newest picture, bit for bit, with the manifest's hash of it."""
    if evidence.picture is None:
        return evidence
    hashed = blake2b(evidence.picture.tobytes(), digest_size=16).hexdigest()
    if hashed in {window.picture_hash for window in windows}:
        return replace(
            evidence, settings=(*evidence.settings, ("picture", f"bit for bit as in the manifest ({hashed})"))
        )
    return replace(evidence, notes=(*evidence.notes, "The saved picture is not one of the manifest's."))


def _window_of_manifest(window: WindowPart) -> WindowRecord:
    grade = str(window.effort.get("name", ""))
    numbers = tuple(window.numbers[len(window.before) :])
    return WindowRecord(window.first_seq, window.last_seq, len(window.seqs), drawable(window.metrics), grade, numbers)


def _configured(run: RunPart, key: str) -> Path | None:
    value = run.config.get(key)
    return Path(value) if isinstance(value, str) and value else None


def _saved(manifest: Path, run: RunPart, key: str, fits: Callable[[Path], bool]) -> Path | None:
    """Find an output of a run: where it was saved, or beside the manifest."""
    path = _configured(run, key)
    if path is None:
        return None
    beside = [manifest.parent / path.name]
    if exists(path.parent):
        numbered = escape(path.name.split(".")[0])
        beside += sorted(path.parent.glob(f"{numbered}*{escape(path.suffix)}"))
    return next((place for place in (path, *beside) if exists(place) and fits(place)), None)


def _is_of_run(path: Path, run: str) -> bool:
    records = read_records(path)
    return bool(records) and records[-1].get("run") == run


def _account(parts: Sequence[ManifestPart]) -> FrameAccount | None:
    """Count the frames of all windows, and those missing between them."""
    frames: dict[str, set[int]] = {}
    spans: dict[str, tuple[int, int]] = {}
    for window in (part.window for part in parts if part.window is not None):
        frames.setdefault(window.stream, set()).update(window.seqs, window.before)
        low, high = spans.get(window.stream, (window.first_seq, window.last_seq))
        spans[window.stream] = min(low, window.first_seq, *window.before), max(high, window.last_seq)
    if not spans:
        return None
    sent = sum(high - low + 1 for low, high in spans.values())
    delivered = sum(map(len, frames.values()))
    failed = [part.failed for part in parts if part.failed is not None]
    causes = [f"frames {one.first_seq} to {one.last_seq} made no picture: {one.error}" for one in failed]
    return FrameAccount(sent, delivered, sent - delivered, "all windows of the run", tuple(causes))


def _events(parts: Sequence[ManifestPart]) -> Iterator[LoggedEvent]:
    for event in (part.event for part in parts if part.event is not None):
        yield LoggedEvent(event.unix_ns, event.level, event.code, event.text)


def _settings(run: RunPart, stream: StreamInfo | None) -> Iterator[tuple[str, str]]:
    yield "device", run.device
    if stream is not None:
        yield "camera", stream.camera
        yield "field", f"{stream.height} x {stream.width} camera pixels"
        yield "exposure", f"{stream.exposure_ms:.4g} ms" if stream.exposure_ms else ""
        yield "frame rate", f"{stream.rate_hz:.4g} /s" if stream.rate_hz else ""
    for section in ("source", "camera", "optics", "reconstruction"):
        content = run.config.get(section)
        if isinstance(content, dict):
            for key, value in content.items():
                if value is not None and not isinstance(value, dict | list):
                    yield f"{section}.{key}", str(value).lower() if isinstance(value, bool) else str(value)
