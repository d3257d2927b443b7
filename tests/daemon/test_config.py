"""A configuration is right, or the user is told which key is not and what to write."""

from pathlib import Path

import pytest
from daemon_process import as_toml

from daemon.config import load
from daemon.keys.loopback import is_loopback
from daemon.sources.scene_section import scene_of
from selfstorm.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"


def written(folder, text):
    path = folder / "daemon.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder, text, overrides=None):
    with pytest.raises(InputError) as caught:
        load(written(folder, text), overrides or {})
    return str(caught.value)


@pytest.mark.parametrize(
    "path", sorted({*CONFIGS.glob("*.toml")} - {CONFIGS / "cluster.toml"}), ids=lambda path: path.name
)
def test_the_shipped_configurations_load(path):
    config = load(path, {})
    assert config.source.scheme == path.stem
    assert config.server.results.endswith(":5711")


def test_there_is_an_example_for_every_source():
    assert {path.stem for path in CONFIGS.glob("*.toml")} >= {"simulate", "replay", "mmcore"}


def test_an_empty_file_is_a_simulation_with_everything_as_documented(tmp_path):
    config = load(written(tmp_path, ""), {})
    assert (config.source.scheme, config.reconstruction.window, config.lossless) == ("simulate", 100, False)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[reconstruction]\nstrid = 5", "[reconstruction]: unknown key 'strid'", "did you mean 'stride'?"),
        ("[camera]\npixelnm = 100", "[camera]: unknown key 'pixelnm'", "did you mean 'pixel_nm'?"),
        ("[source.simulate]\nheigth = 32", "[source.simulate]: unknown key 'heigth'", "did you mean 'height'?"),
        ("[source.mmcore]\nexposure = 3", "[source.mmcore]: unknown key 'exposure'", "did you mean 'exposure_ms'?"),
        ("[optcs]\nna = 1.4", "unknown key 'optcs'", "did you mean 'optics'?"),
        ("losless = true", "unknown key 'losless'", "did you mean 'lossless'?"),
        ("[server]\nqqqq = 1", "[server]: unknown key 'qqqq'", "known keys: results, control, keys, metrics_port"),
    ],
)
def test_an_unknown_key_names_its_section_and_the_nearest_known_one(tmp_path, text, said, hint):
    line = refusal(tmp_path, text)
    assert said in line
    assert line.endswith(hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[reconstruction]\nwindow = "many"', "reconstruction.window: 'many'"),
        ("[reconstruction]\nwindow = 7", "reconstruction.window: 7"),
        ("[reconstruction]\nstride = 0", "reconstruction.stride: 0"),
        ("[reconstruction]\nscale = 3", "reconstruction.scale: 3"),
        ('[reconstruction]\nestimate = "guess"', "reconstruction.estimate: 'guess'"),
        ("[camera]\npixel_nm = -100", "camera.pixel_nm: -100"),
        ("[camera]\ngain_adu_per_electron = nan", "camera.gain_adu_per_electron: nan"),
        ("[camera]\noffset_adu = nan", "camera.offset_adu: nan"),
        ("[source]\nrate_hz = 0", "source.rate_hz: 0"),
        ("[source]\nframes = 0.5", "source.frames: 0.5"),
        ("[source.simulate]\nheight = 'a'", "height: 'a' is not a whole number"),
        ("[source.simulate]\nphotons = -1", "photons: -1 is out of range"),
        ("camera = 3", "camera: 3"),
        ("duration_s = -1", "duration_s: -1"),
        ("[optics]\npsf_sigma_nm = 110\nna = 1.4\nwavelength_nm = 640", "the optics are given twice"),
        ("[optics]\nna = 1.4", "na and wavelength_nm belong together"),
        ("[optics]\nwavelength_nm = 640", "na and wavelength_nm belong together"),
        ('[source]\nuri = "replay:"', "'replay:' names no file"),
        ('[source]\nuri = "ndtiff:"', "'ndtiff:' names no folder"),
        ("[source]\nspeed = 4", "speed needs timing = "),
        ('[source]\ntiming = "now"', "source.timing: 'now'"),
        ("[source.select]\nchannel = 1.5", "source.select.channel"),
        ('[source]\nuri = "ftp:movie.tif"', "'ftp:movie.tif' is no source: it starts with one of simulate:, replay:"),
        ('[source]\nuri = "simulate"', "'simulate' is no source"),
        ('[server]\nresults = "0.0.0.0:5711"', "'0.0.0.0:5711' is no address to listen on; write tcp://127.0.0.1:PORT"),
        ('[server]\ncontrol = "ipc:///tmp/daemon"', "is no address to listen on"),
        ('[server]\nresults = "tcp://127.0.0.1:99999"', "no port 99999: give one from 1 to 65535"),
        ('[server]\ncontrol = "tcp://127.0.0.1:0"', "no port 0"),
        ('[source]\nkey = "a.key"', "key is for frames from another machine"),
        ('[source]\nuri = "zmq:gpu-pc:5710"', 'gpu-pc gives its frames only to whom it knows: write key = "NAME.key"'),
        ("[source", "is not TOML"),
        ("lossless = true\nlossless = false", "is not TOML"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, text, said):
    assert said in refusal(tmp_path, text)


def test_a_file_that_is_not_text_or_not_there(tmp_path):
    path = tmp_path / "daemon.toml"
    with pytest.raises(InputError, match="no such file"):
        load(path, {})
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path, {})
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not TOML"):
        load(path, {})


def test_paths_in_the_file_are_relative_to_it(tmp_path):
    text = as_toml({"save": "out.ome.tif", "record": "raw", "source": {"uri": "replay:in.tif"}})
    config = load(written(tmp_path, text), {})
    assert (config.save, config.record) == (tmp_path / "out.ome.tif", tmp_path / "raw")
    assert Path(config.source.place) == tmp_path / "in.tif"


def test_absolute_paths_and_sources_without_one_stay_as_they_are(tmp_path):
    text = as_toml({"save": str(tmp_path / "a.tif"), "source": {"uri": "mmcore:"}})
    config = load(written(tmp_path, text), {})
    assert (config.save, config.source.uri) == (tmp_path / "a.tif", "mmcore:")


def test_flags_win_over_keys_and_are_relative_to_where_the_user_is(tmp_path):
    text = as_toml({"save": "a.tif", "duration_s": 3, "source": {"uri": "replay:in.tif", "rate_hz": 9}})
    flags = {"source.uri": "replay:other.tif", "save": Path("b.tif"), "duration_s": None, "lossless": True}
    config = load(written(tmp_path, text), flags)
    assert (config.source.uri, config.source.rate_hz) == ("replay:other.tif", 9)
    assert (config.save, config.duration_s, config.lossless) == (Path("b.tif"), 3, True)


def test_a_flag_does_not_hide_that_its_section_is_no_section(tmp_path):
    line = refusal(tmp_path, 'source = "replay:in.tif"', {"source.uri": "simulate:"})
    assert "source: 'replay:in.tif'" in line


def test_a_bad_flag_is_refused_like_a_bad_key(tmp_path):
    assert "'ftp:x' is no source" in refusal(tmp_path, "", {"source.uri": "ftp:x"})


def test_pairs_of_the_scene_can_be_written_in_toml(tmp_path):
    config = load(written(tmp_path, "[source.simulate]\ndrift_nm_per_frame = [0.5, -1]"), {})
    assert scene_of(config.source).drift_nm_per_frame == (0.5, -1)


@pytest.mark.parametrize(
    ("source", "waits"),
    [
        ({"uri": "replay:m.tif"}, True),
        ({"uri": "replay:m.tif", "rate_hz": 5}, False),
        ({"uri": "replay:m.tif", "timing": "recorded"}, False),
        ({"uri": "ndtiff:data"}, True),
        ({"uri": "simulate:"}, False),
    ],
)
def test_frames_that_lie_on_a_disk_wait_unless_somebody_paces_them(tmp_path, source, waits):
    config = load(written(tmp_path, as_toml({"source": source})), {})
    assert config.source.can_wait == waits


def test_addresses_and_keys_for_other_machines(tmp_path):
    server = {"results": "tcp://*:5711", "control": "tcp://microscope-pc.example.org:5712", "keys": "ring"}
    text = as_toml({"source": {"uri": "zmq:gpu-pc:5710", "key": "a.key"}, "server": server})
    config = load(written(tmp_path, text), {})
    assert (config.server.keys, config.source.key) == (tmp_path / "ring", tmp_path / "a.key")
    reachable = ["tcp://127.0.0.1.example.org:1", "tcp://127.0.0.2:1", "tcp://0.0.0.0:1", "tcp://*:1", "tcp://[::]:1"]
    assert not [one for one in reachable if is_loopback(one)]
    assert all(is_loopback(one) for one in ("tcp://127.0.0.1:5711", "tcp://localhost:*", "tcp://[::1]:5711"))


def test_all_mistakes_are_reported_at_once_in_plain_words(tmp_path):
    text = """
lossles = true
[reconstruction]
window = 7
scale = 3
region = [0, 0]
[source]
rate_hz = 0
[source.mmcore]
exposure = 3
[source.simulate]
heigth = 5
[optics]
na = 1.4
"""
    with pytest.raises(InputError) as caught:
        load(written(tmp_path, text), {})
    lines = [str(one) for one in caught.value.each]
    for said in (
        "unknown key 'lossles'; did you mean 'lossless'?",
        "reconstruction.window: 7 must be at least 8",
        "reconstruction.scale: 3 must be 2, 4 or 8",
        "reconstruction.region",
        "source.rate_hz: 0 must be more than 0",
        "[source.mmcore]: unknown key 'exposure'",
        "[source.simulate]: unknown key 'heigth'",
        "na and wavelength_nm belong together",
    ):
        assert [said in line for line in lines].count(True) >= 1, (said, lines)
    assert not [word for word in ("pydantic", "Input should", "validation") if word in str(caught.value)]
