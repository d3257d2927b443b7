"""The worker with outputs of a test's own: empty windows, failing windows, failing outputs."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from third_model import MeanStream

from daemon import stream_settings
from daemon.config import Config
from daemon.health import Health
from daemon.ingest.windows import WindowQueue
from daemon.live_config import LiveConfig
from daemon.processing import worker as module
from daemon.processing.sinks import Sink
from daemon.processing.worker import Worker
from selfstorm.errors import InputError
from selfstorm.frames import Frame, StreamInfo, Window
from selfstorm.stream.model_kinds import MODEL_KINDS, ModelKind

SIDE = 16
CONFIG = Config.model_validate(
    {
        "camera": {"pixel_nm": 100.0},
        "optics": {"psf_sigma_nm": 110.0},
        "reconstruction": {"estimate": "density", "scale": 2, "device": "cpu", "tuning_steps": 0},
    }
)


class Log(Sink):
    """Keeps what it is given, as text."""

    def __init__(self):
        self.steps = []

    def start(self):
        self.steps.append("start")

    def preview(self, output):
        self.steps.append(f"preview {output.window.index}")

    def result(self, output):
        assert output.header.shape == output.picture.shape == (2 * SIDE, 2 * SIDE)
        self.steps.append(f"result {output.window.index}")

    def failed(self, window, error):
        self.steps.append(f"failed {window.index}")

    def config_changed(self, config):
        self.steps.append(f"budget {config.reconstruction.budget}")

    def model_reset(self):
        self.steps.append("reset")

    def close(self):
        self.steps.append("close")


def window(index, empty=False):
    info = StreamInfo(stream="stream-1", source="here", height=SIDE, width=SIDE, dtype="uint16")
    first, last = 10 * index, 10 * index + 19
    if empty:
        return Window(index, info, first, last, (), tuple(range(first, last + 1)), stride=10)
    images = np.random.default_rng(index).poisson(100, (20, SIDE, SIDE)).astype(np.uint16)
    frames = tuple(Frame("stream-1", first + k, first + k, image, None, 0, k) for k, image in enumerate(images))
    return Window(index, info, first, last, frames, (), stride=10)


@pytest.fixture
def run():
    """Run a worker over windows with some outputs; returns its account, and itself."""

    def run_worker(windows, sinks, between=None, config=CONFIG):
        health, queue = Health(run="run"), WindowQueue(lossless=True)
        live = LiveConfig(config)
        worker = Worker(live, health, queue, torch.device("cpu"), sinks)
        if between is not None:
            between(live, worker)
        queue.hurry()
        for one in windows:
            queue.put(one)
        queue.close()
        worker.start()
        worker.join()
        return health, worker

    return run_worker


def test_a_window_without_frames_is_reported_and_is_no_error(run, caplog):
    log = Log()
    health, worker = run([window(7, empty=True)], [log])
    assert (health.status().windows.failed, worker.died) == (1, False)
    [event] = health.events_since(0)
    assert (event.level, event.text) == ("warning", "window 7: none of its frames arrived")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert log.steps == ["start", "failed 7", "close"]


def test_every_output_gets_every_step_in_order(run):
    def request(live, worker):
        live.change({"reconstruction.budget": 0.5}, None)
        worker.reset_model()

    first, second = Log(), Log()
    health, _ = run([window(0), window(1)], [first, second], request)
    steps = [step for step in first.steps if not step.startswith("preview")]
    assert steps == ["start", "budget 0.5", "reset", "result 0", "result 1", "close"]
    assert first.steps == second.steps
    assert health.status().windows.published == 2


@pytest.mark.parametrize("step", ["start", "result", "close"])
def test_an_output_that_raises_is_removed_and_the_others_go_on(run, step):
    class Broken(Log):
        pass

    def fail(*_):
        raise RuntimeError("no such disk")

    broken, log = Broken(), Log()
    setattr(broken, step, fail)
    health, worker = run([window(0), window(1)], [broken, log])
    assert [event.text for event in health.events_since(0) if event.code == "output_stopped"] == [
        f"Broken.{step}: RuntimeError: no such disk; the stream goes on without this output"
    ]
    assert (worker.died, log.steps[-2:]) == (False, ["result 1", "close"])


def test_an_error_of_any_length_fails_one_window_and_the_next_is_tried(run, monkeypatch):
    class Failing(module.Reconstructor):
        def reconstruct(self, window, *rest):
            if window.index == 0:
                raise RuntimeError("no memory " * 1000)
            return super().reconstruct(window, *rest)

    monkeypatch.setattr(module, "Reconstructor", Failing)
    log = Log()
    health, worker = run([window(0), window(1)], [log])
    assert (worker.died, health.status().windows.failed, health.status().windows.published) == (False, 1, 1)
    [event] = [event for event in health.events_since(0) if event.code == "window_failed"]
    assert event.text.startswith("window 0: RuntimeError: no memory no memory")


@pytest.mark.parametrize("others", [(), (1,), (2,), (1, 2)], ids=["one stream", "second", "third", "both"])
def test_a_calibration_that_is_gone_later_ends_no_run(run, monkeypatch, others):
    """Its drive may be: a stream goes on with what it began with, and another one fails window by window."""
    really, asked = stream_settings.stream_settings, []

    def gone_after_the_first(config, info):
        asked.append(info)
        if len(asked) > 1:
            raise InputError("no calibration of a camera 'Cam'")
        return really(config, info)

    monkeypatch.setattr(stream_settings, "stream_settings", gone_after_the_first)
    windows = [window(0), window(1), window(2)]
    for number in others:
        other = windows[number].info.model_copy(update={"stream": f"stream-{number + 1}"})
        windows[number] = replace(windows[number], info=other)
    log = Log()
    health, worker = run(windows, [log])
    assert (worker.fatal, worker.died) == (None, False)
    counts = health.status().windows
    assert (counts.published, counts.failed) == (3 - len(others), len(others))


def test_a_third_kind_of_model_reaches_the_outputs(run, monkeypatch):
    monkeypatch.setitem(MODEL_KINDS, "mean", ModelKind("third_model:MeanStream"))
    section = CONFIG.reconstruction.model_copy(update={"model": "mean"})
    log = Log()
    health, worker = run([window(0), window(1)], [log], config=CONFIG.model_copy(update={"reconstruction": section}))
    assert (worker.died, worker.fatal) == (False, None)
    assert log.steps == ["start", "result 0", "result 1", "close"]
    assert health.status().windows.published == 2


def test_the_accumulated_picture_is_made_after_the_windows_own_is_out(run, monkeypatch):
    monkeypatch.setitem(MODEL_KINDS, "mean", ModelKind("third_model:MeanStream"))
    config = CONFIG.model_copy(update={"reconstruction": CONFIG.reconstruction.model_copy(update={"model": "mean"})})
    log = Log()
    log.learned = lambda output, sums: log.steps.append(f"learned {output.window.index}")

    def accumulate(self, callbacks):
        log.steps.append("accumulate")
        if self.windows == 1:
            raise RuntimeError("no memory")

    monkeypatch.setattr(MeanStream, "accumulate", accumulate)
    health, _ = run([window(0), window(1)], [log], config=config)
    assert log.steps[1:-1] == [step for n in (0, 1) for step in (f"result {n}", "accumulate", f"learned {n}")]
    assert health.status().windows.published == 2
    [event] = [event for event in health.events_since(0) if event.code == "accumulated_failed"]
    assert event.text == "window 0: RuntimeError: no memory"


def test_a_model_of_no_known_kind_is_refused_in_words():
    with pytest.raises(ValueError, match="no model 'mean': give unrolled or tiled or paper"):
        Config.model_validate({"reconstruction": {"model": "mean"}})


class Means(Log):
    """Keeps the mean that is shown first, too."""

    def mean(self, picture):
        self.steps.append("mean")
        self.picture = picture


LARGE = 160
PROBES_S = 0.0, 9.0, 0.0, 1.0, 0.0, 2.0  # the first also loads libraries; half a part; a part


def large(index, received_ns, side_px=(LARGE, LARGE), length=20, kind=np.uint16):
    """A window of a large field; its frames came so far apart."""
    height, width = side_px
    info = StreamInfo(stream="stream-1", source="here", height=height, width=width, dtype=np.dtype(kind).name)
    pixels = np.random.default_rng(index).poisson(100, (length, height, width)).astype(kind)
    if kind is np.float32:
        pixels[0, 0, 0] = np.nan
    first = 10 * index
    frames = tuple(Frame("stream-1", first + k, k, image, None, 0, k * received_ns) for k, image in enumerate(pixels))
    return Window(index, info, first, first + length - 1, frames, (), stride=10)


def test_the_first_window_of_a_large_field_says_how_long_it_takes_and_shows_the_mean_meanwhile(run, monkeypatch):
    clock = SimpleNamespace(perf_counter=iter(PROBES_S).__next__)
    monkeypatch.setattr("daemon.processing.first_window.time", clock)
    log = Means()
    monkeypatch.setattr(Log, "result", lambda self, output: self.steps.append(f"result {output.window.index}"))
    health, worker = run([large(0, 10**7), large(1, 10**7)], [log])
    assert not worker.died
    assert [step for step in log.steps if "preview" not in step] == ["start", "mean", "result 0", "result 1", "close"]
    [event] = [event for event in health.events_since(0) if event.code == "learning"]
    assert "takes about 50 s" in event.text  # 25 times the part that took two seconds, half of which took one
    assert "A region, a shorter window or a lower scale takes less" in event.text
    header, pixels = log.picture
    assert (header.shape, header.scale, header.grade, header.estimate) == ((LARGE, LARGE), 1, "preview", "mean")
    assert header.pixel_nm == 100.0
    assert header.notes == (
        "not super-resolved: the mean of the camera's frames, until the first density in about 50 s",
    )
    assert np.abs(pixels - np.mean([f.pixels for f in large(0, 1).frames], 0)).max() < 1e-3


@pytest.mark.parametrize(
    ("side_px", "frames", "pixels"),
    [((32, 512), 60, np.uint16), ((64, 64), 100, np.uint16), ((160, 160), 20, np.float32)],
    ids=["a strip", "a long window", "frames of floats with what is no number"],
)
def test_any_first_window_with_much_work_says_how_long_it_takes(run, monkeypatch, side_px, frames, pixels):
    clock = SimpleNamespace(perf_counter=iter(PROBES_S).__next__)
    monkeypatch.setattr("daemon.processing.first_window.time", clock)
    monkeypatch.setattr(module.Reconstructor, "reconstruct", lambda *_: 1 / 0)  # the wait is told before
    log = Means()
    one = large(0, 10**7, side_px, frames, pixels)
    health, _ = run([one], [log])
    [event] = [event for event in health.events_since(0) if event.code == "learning"]
    seconds = 2 * frames * side_px[0] * side_px[1] / (20 * 32 * 32)
    assert f"takes about {seconds:.0f} s" in event.text
    assert np.isfinite(log.picture[1]).all()


@pytest.mark.parametrize("case", ["a small field", "a slow camera", "lossless"])
def test_no_mean_is_shown_where_the_first_window_takes_less_than_a_stride(run, monkeypatch, case):
    clock = SimpleNamespace(perf_counter=iter(PROBES_S).__next__)
    monkeypatch.setattr("daemon.processing.first_window.time", clock)
    log = Means()
    monkeypatch.setattr(Log, "result", lambda self, output: self.steps.append(f"result {output.window.index}"))
    windows = {"a small field": [window(0)], "a slow camera": [large(0, 60 * 10**9)]}.get(case, [large(0, 10**7)])
    config = CONFIG.model_copy(update={"lossless": case == "lossless"})
    run(windows, [log], config=config)
    assert "mean" not in log.steps
    assert "result 0" in log.steps
