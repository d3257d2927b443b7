"""Models of a stream for tests: learned from frames, and run over windows as offline does."""

import numpy as np
import torch

from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.engine import StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.offline import ArrayFrames, reconstruct_movie
from selfstorm.stream.unrolled_stream import UnrolledStream

CPU = torch.device("cpu")


def learned(settings, raw, device=CPU, **compute):
    """Return our model of a stream that begins with raw, (T, H, W) ADU."""
    return UnrolledStream.learned_from(settings, raw, Compute(device, **compute))


def reconstruct(model, raw, span=None, level=None):
    """Reconstruct one window with a model that learns from it; without a span the frames follow those before."""
    next_ = model.last_number + 1
    span = span or WindowSpan(np.arange(next_, next_ + len(raw)), next_, len(raw))
    new = span.numbers >= next_
    if new.any():
        model.ingest(raw[new], WindowSpan(span.numbers[new], span.first, span.stride))
    return model.picture(span, level)


def movie_windows(raw, model, window, stride):
    """Reconstruct all windows of a movie; the model learns from them."""
    engine = StreamEngine(lambda first_window: model, model)
    results = []
    for _, result in reconstruct_movie(ArrayFrames(raw), engine, window, stride):
        results.append(result)
        model.learned = engine.model.learned
    return results
