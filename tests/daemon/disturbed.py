"""What a fault looks like from outside a daemon, whatever happens to which camera."""

from contextlib import contextmanager
from types import SimpleNamespace

from daemon_process import account_closes, wait_until

from daemon.sources.losses import BY_CAUSE, IN_BUFFER

LOSS_CODES = {loss.code for loss in (IN_BUFFER, *BY_CAUSE.values())}


@contextmanager
def fault(running):
    """What the block does happens to the camera of a running (daemon, results).

    Afterwards pictures come again, the account closes, and nothing is missing in transit. What it gives:
    told(code, text), an event that came since; before and after, the statuses; lost(), at the source; losses(), the
    codes of what was said to be lost there; restarts; same_stream.
    """
    daemon, results, outcome = running.daemon, running.results, SimpleNamespace(before=running.daemon.status())
    known = {event.number for event in results.messages("event")}

    def told(code, text):
        def there():
            new = (event for event in results.events(code) if event.number not in known)
            return any(text in event.text for event in new)

        return wait_until(there)

    outcome.told = told
    outcome.lost = lambda: daemon.status().frames.lost_at_source - outcome.before.frames.lost_at_source
    outcome.losses = lambda: {
        event.code for event in results.messages("event") if event.number not in known and event.code in LOSS_CODES
    }
    yield outcome
    results.more("sr.refined", 2)

    def runs_again():
        status = daemon.status()
        return status if (status.state, status.detail) == ("running", "") else None

    outcome.after = wait_until(runs_again)

    def pictured():
        return any(one.message.stream == outcome.after.stream for one in results.pictures("sr.refined"))

    wait_until(pictured)
    outcome.same_stream = outcome.after.stream == outcome.before.stream
    outcome.restarts = outcome.after.source_restarts - outcome.before.source_restarts
    assert account_closes(outcome.after)
    assert outcome.after.frames.missing == 0
