"""Targets of `run`: recordings at their own times, and copies of shipped configurations."""

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from daemon.cli import cli
from daemon.protocol.messages import FrameHeader
from daemon.recording.recorder import Recording
from daemon.run_target import SOURCE_TREE, configuration, copy_shipped
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo

FRAMES = np.zeros((3, 6, 8), np.uint16)


@pytest.fixture
def recording(tmp_path):
    """The folder of a recording with a time for each frame."""
    info = StreamInfo(stream="stream-1", source="here", height=6, width=8, dtype="uint16")
    written = Recording(tmp_path, info, 0)
    for seq, pixels in enumerate(FRAMES):
        header = FrameHeader(
            stream="stream-1", seq=seq, number=seq, shape=(6, 8), dtype="uint16", camera_ms=20.0 * seq, sent_unix_ns=1
        )
        written.add(header, pixels)
    written.close()
    return tmp_path


def pace(path, **overrides):
    config = configuration(str(path), {"source.uri": None, "lossless": None, **overrides})
    return config.source.timing, config.lossless


def test_a_recording_with_times_is_played_at_them(recording):
    assert pace(recording) == ("recorded", False)


def test_a_recording_that_is_to_be_lossless_is_not_slowed_down(recording):
    assert pace(recording, lossless=True) == ("rate", True)


def test_a_movie_without_times_skips_no_window(tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", FRAMES, photometric="minisblack", metadata=None)
    assert pace(tmp_path / "movie.tif") == ("rate", True)


def test_what_is_no_movie_is_refused_by_its_source(tmp_path):
    (tmp_path / "movie.tif").write_bytes(b"no movie")
    assert pace(tmp_path / "movie.tif") == ("rate", False)


def test_a_copy_of_a_shipped_configuration_is_run_as_that_is(tmp_path):
    copy_shipped("simulate", tmp_path / "mine.toml")
    overrides = {"source.rate_hz": 7.0}
    assert configuration(str(tmp_path / "mine.toml"), overrides) == configuration("simulate", overrides)


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("simulated", "new.toml", "choose one of: .*simulate"),
        ("simulate", "old.toml", "exists already; choose another name$"),
        ("simulate", "mine", r"let its name end in \.toml"),
        ("simulate", "none/new.toml", "no such folder"),
    ],
)
def test_no_copy_is_made_of_nothing_or_over_something(tmp_path, name, file, words):
    (tmp_path / "old.toml").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=words):
        copy_shipped(name, tmp_path / file)
    assert [path.name for path in tmp_path.iterdir()] == ["old.toml"]
    assert (tmp_path / "old.toml").read_text(encoding="utf-8") == "mine"


def test_what_is_written_is_run_by_the_command_that_is_named(tmp_path):
    for path in SOURCE_TREE.glob("*.toml"):
        copy = tmp_path / path.name
        said = CliRunner().invoke(cli, ["copy-config", path.stem, str(copy)]).output.strip()
        verb = ["cluster", "start"] if path.stem == "cluster" else ["run"]
        assert said.endswith(f"selfstorm-daemon {' '.join(verb)} {copy}")
        assert "CONFIG" in CliRunner().invoke(cli, [*verb, "--help"]).output.upper()


def test_the_help_names_every_configuration():
    named = CliRunner().invoke(cli, ["copy-config", "--help"]).output
    assert all(path.stem in named for path in SOURCE_TREE.glob("*.toml"))
