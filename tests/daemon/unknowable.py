"""Frames of which no answer of the core can show anything, whatever is asked."""

CLOCKS_S = 0.05  # by which a caller whose calls take up to 20 ms may misjudge when a frame is due


def unknowable_frames(core):
    """Count the frames that nothing could have counted that was as slow to ask.

    Those of a sequence about whose images nothing could be asked while they were in the buffer; and those that one
    would have taken had it ended only when that could be seen, where nothing could be asked between its end and the
    time at which its images were gone.

    Args:
        core: at the end of its script.
    """
    seen = [one for one in core.sequences if _could_ask(core, one.first_s, one.gone_s)]
    frames = sum(one.taken for one in core.sequences if one not in seen)
    for sequence in seen:
        missed_s = sequence.ended_s + 2 / core.rate_hz + CLOCKS_S
        if not (sequence.running or _could_ask(core, missed_s, sequence.gone_s, from_s=missed_s)):
            next_s = [one.began_s for one in seen if one.began_s > sequence.ended_s]
            running = [answer for answer in core.answers if not answer.shows_images]
            returned_s = [answer.returned_s for answer in running if answer.second >= sequence.ended_s]
            frames += (min(next_s + returned_s) - sequence.ended_s) * core.rate_hz + 1
    return frames


def _could_ask(core, since_s, until_s, from_s=0.0):
    """Return whether the images were asked about, or anything else was answered in time to do so, too.

    from_s: time from which a call must be sent: when it is answered on its way nobody knows.
    """
    answers = [one for one in core.answers if since_s <= one.second < until_s and one.sent_s >= from_s]
    return any(answer.shows_images for answer in answers) or len(answers) > 1
