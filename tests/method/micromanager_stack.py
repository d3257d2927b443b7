"""Micro-Manager's multi-page TIFF as its own writer lays it out: header, index map, a page of 13 tags an image."""

import json
import struct

SUMMARY = {"MicroManagerVersion": "2.0.3", "Prefix": "cell", "Channels": 1, "Slices": 1, "Positions": 1}
INDEX_MAP, SUMMARY_MARK, TAGS = 54773648, 3453623, 51123


def write_stack(folder, frames, frames_per_file, **tags):
    """cell_MMStack_Pos0.ome.tif, cell_MMStack_Pos0_1.ome.tif, ...; the first one's path. tags: besides each image's."""
    paths = []
    for start in range(0, len(frames), frames_per_file):
        number = start // frames_per_file
        path = folder / f"cell_MMStack_Pos0{f'_{number}' if number else ''}.ome.tif"
        part = range(start, min(start + frames_per_file, len(frames)))
        path.write_bytes(_file(frames, part, SUMMARY | {"Frames": len(frames)}, tags))
        paths.append(path)
    return paths[0]


def _file(frames, numbers, summary, tags):
    text = json.dumps(summary).encode()
    map_at = 40 + len(text)
    at = map_at + 8 + 20 * len(numbers)
    at += at % 2
    pages, index_map = b"", b""
    first = at
    for number in numbers:
        index_map += struct.pack("<5I", 0, 0, number, 0, at)
        page = _page(frames[number], at, number == numbers[-1], {"ImageNumber": str(number), **tags}, number)
        pages, at = pages + page, at + len(page)
    head = b"II" + struct.pack("<HI", 42, first)
    head += struct.pack("<8I", INDEX_MAP, map_at, 483765892, 0, 99384722, 0, 2355492, len(text))
    body = head + text + struct.pack("<2I", SUMMARY_MARK, len(numbers)) + index_map
    return body + b"\0" * (first - len(body)) + pages


def _page(pixels, at, last, tags, number):
    height, width = pixels.shape
    text = json.dumps(tags | {"ElapsedTime-ms": 12.5 * number}).encode()
    data_at = at + 162
    text_at = data_at + pixels.nbytes
    size = 162 + pixels.nbytes + len(text)
    size += size % 2
    values = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, data_at),
        (277, 3, 1, 1),
        (278, 3, 1, height),
        (279, 4, 1, pixels.nbytes),
        (284, 3, 1, 1),
        (296, 3, 1, 1),
        (305, 2, 2, 77),
        (TAGS, 2, len(text), text_at),
    ]
    page = struct.pack("<H", 13) + b"".join(struct.pack("<HHII", *value) for value in values)
    page += struct.pack("<I", 0 if last else at + size) + b"\0" * (162 - 2 - 13 * 12 - 4)
    return (page + pixels.astype("<u2").tobytes() + text).ljust(size, b"\0")
