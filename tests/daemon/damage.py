"""Damage of files: some hundred mutations of each, the same in every run; each is read or refused in a sentence.

They are cut, bits are turned, numbers made huge or of another type, parts doubled or left out.
"""

import tracemalloc
import warnings

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfstorm.errors import InputError

MOST_BYTES = 32 * 2**20  # the files have a few thousand: nothing that is read of them needs more
NUMBERS_IN_BYTES = [
    value.to_bytes(size, order)
    for size in (2, 4, 8)
    for value in (0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1, 2 ** (5 * size))
    for order in ("little", "big")
]
WORDS_IN_TEXT = [
    *("-1", "0", "1e400", "NaN", "1e9", "-0.0", "null", "true", '"x"', "[]", "{}", "[[]]", '{"a": 1}', "\\u0000"),
    *(str(2**40), str(2**63), "9" * 400, "[" * 3000, "\x00", "\xff", "é", ",", '"', "\n", "=", "inf", "../../x"),
]


def place(draw, size):
    """Where in a file of that size; most of what describes it stands at its ends."""
    edge = min(size, 600)
    return draw(st.one_of(st.integers(0, size), st.integers(0, edge), st.integers(size - edge, size)))


@st.composite
def damages(draw, whole, text):
    """The bytes of a file after one to three accidents. text: numbers and words are exchanged rather than bits."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = place(draw, len(data))
        kind = draw(st.sampled_from(["word", "word", "word", "cut", "bit", "drop", "double"] if text else KINDS))
        length = draw(st.integers(1, 40))
        if kind == "cut":
            del data[at:]
        elif kind == "bit" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            number = draw(st.sampled_from(NUMBERS_IN_BYTES))
            data[at : at + len(number)] = number
        elif kind == "word":
            starts, ends = _value_at(data, at)
            data[starts:ends] = draw(st.sampled_from(WORDS_IN_TEXT)).encode("latin-1")
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
    return bytes(data)


KINDS = ["number", "number", "number", "bit", "bit", "cut", "drop", "double", "word"]


def _value_at(data, at):
    """The next word or number from there on, without what separates it from others."""
    apart = b' ,:=[]{}\n\t"'
    starts = at
    while starts < len(data) and data[starts] in apart:
        starts += 1
    ends = starts
    while ends < len(data) and data[ends] not in apart:
        ends += 1
    return starts, ends


def survives(path, whole, read, *, examples, text=False):
    """Mutates a file so often; `read` must come to an end with a result or an InputError that is one sentence."""
    outcomes = {"read": 0, "refused": 0}

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(damages(whole, text))
    def run(data):
        path.write_bytes(data)
        refused = None
        tracemalloc.start(1)  # not for longer: it slows everything down
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                read()
        except InputError as error:
            refused = error
        finally:
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert most < MOST_BYTES
        outcomes["read" if refused is None else "refused"] += 1
        assert refused is None or (refused.what and len(str(refused)) < 2000)

    read()  # whole it can be read
    try:
        run()
    finally:
        path.write_bytes(whole)
    assert outcomes["refused"] > examples // 10
