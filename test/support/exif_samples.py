"""EXIF data of pictures that are turned, and EXIF data that are damaged."""

import pytest

ORIENTATIONS = (
    (1, 0, False),
    (2, 0, True),
    (3, 2, False),
    (4, 2, True),
    (5, 1, True),
    (6, 1, False),
    (7, 3, True),
    (8, 3, False),
)
"""Each orientation, the quarter turns to the left with which its picture is stored, and whether it
is mirrored before."""

_CUT = b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12"
_TEXT = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\2\0\0\0\x026\0\0\0\0\0\0\0"
_ODD_RESOLUTION = (
    b"Exif\0\0MM\0*\0\0\0\x08\0\2\1\x12\0\3\0\0\0\1\0\6\0\0\1\x1a\0\2\0\0\0\x026\0\0\0\0\0\0\0"
)

DAMAGED_EXIF = (
    pytest.param(b"Exif\0\0no tags at all", False, id="no EXIF"),
    pytest.param(_CUT, False, id="cut"),
    # The orientation is text.
    pytest.param(_TEXT, False, id="text"),
    # It is 6, and a resolution is text.
    pytest.param(_ODD_RESOLUTION, True, id="another tag"),
)
"""What stands where EXIF data should, and whether they still say that the picture is turned."""
