"""TIFF pictures that are damaged in what they say about themselves."""

import struct

WHOLE_NUMBER, TEXT, RATIONAL, FLOAT = 4, 2, 5, 11
"""Types of values in a file (TIFF 6.0, section 2)."""


def one_pixel_tiff(place_type: int) -> bytes:
    """Return a grey picture of one pixel.

    Args:
        place_type: Type of the value that tells where the pixel is in the file. It should be a
            whole number.
    """
    tags = [(256, 4, 1), (257, 4, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, place_type, 200), (277, 3, 1), (278, 4, 1), (279, 4, 1)]
    data = b"II*\0" + struct.pack("<IH", 8, len(tags))
    data += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return (data + bytes(4)).ljust(200, b"\0") + struct.pack("<II", 220, 1) + bytes(100)
