"""Frames of which no answer of the core can show anything, whatever is asked."""


def unknowable_frames(core):
    """Count the frames that nothing could have counted that was as slow to ask.

    Those of a sequence about whose images nothing could be asked while they were in the buffer; and those that one
    would have taken had it ended only when that could be seen, where nothing could be asked between its end and the
    time at which its images were gone. That it has ended shows as soon as the next image is due: after the time between
    two images, with the camera's unsteadiness and the error of the caller's clock.

    Args:
        core: at the end of its script.
    """
    seen = [one for one in core.sequences if _could_ask(core, one.first_s, one.gone_s)]
    frames = sum(one.taken for one in core.sequences if one not in seen)
    for sequence in seen:
        missed_s = sequence.ended_s + (1 + core.jitter) / core.rate_hz + _clock_error_s(core, sequence.gone_s)
        if not (sequence.running or _could_ask(core, missed_s, sequence.gone_s, from_s=missed_s)):
            next_s = [one.began_s for one in seen if one.began_s > sequence.ended_s]
            running = [answer for answer in core.answers if not answer.shows_images]
            returned_s = [answer.returned_s for answer in running if answer.second >= sequence.ended_s]
            frames += (min(next_s + returned_s) - sequence.ended_s) * core.rate_hz + 1
    return frames


def _clock_error_s(core, until_s):
    """Return how late a caller takes images to have come, by the fastest answer so far.

    The core says when it received an image, by its own clock; an answer shows only that this was before.
    """
    looks = [one.returned_s - one.second for one in core.answers if one.shows_images and one.returned_s < until_s]
    return min(looks, default=0.0)


def _could_ask(core, since_s, until_s, from_s=0.0):
    """Return whether the images were asked about, or anything else was answered in time to do so, too.

    from_s: time from which a call must be sent: when it is answered on its way nobody knows.
    """
    answers = [one for one in core.answers if since_s <= one.second < until_s and one.sent_s >= from_s]
    return any(answer.shows_images for answer in answers) or len(answers) > 1
