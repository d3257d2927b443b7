"""The worker by itself: a window of which nothing is there."""

from daemon.config import Config
from daemon.health import Health
from daemon.ingest.windows import WindowQueue
from daemon.live_config import LiveConfig
from daemon.processing.worker import Worker
from daemon.transport.publisher import Publisher
from selfstorm.frames import StreamInfo, Window


def test_a_window_without_frames_is_told_and_is_no_error(caplog):
    health, queue = Health(run="run"), WindowQueue(lossless=False)
    worker = Worker(LiveConfig(Config()), health, queue, Publisher("tcp://127.0.0.1:1", health), None)
    info = StreamInfo(stream="stream-1", source="here", height=8, width=8, dtype="uint16")
    queue.put(Window(7, info, 0, 15, (), tuple(range(16)), stride=16))
    queue.close()
    worker.start()
    worker.join()
    assert (health.status().windows.failed, worker.died) == (1, False)
    [event] = health.events_since(0)
    assert (event.level, event.text) == ("warning", "window 7: none of its frames arrived")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
