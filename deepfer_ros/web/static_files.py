"""The files of the page: those found when the server starts, so that no path leads elsewhere."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

STATIC_FOLDER = Path(__file__).parent / "static"

_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".map": "application/json",
    ".txt": "text/plain",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of the page.

    Attributes:
        data: Its content.
        media_type: What it is.
        etag: Changes with the content.
    """

    data: bytes
    media_type: str
    etag: str


class StaticFiles:
    """Reads the files of a folder.

    Args:
        folder: Where they are; those with unknown suffixes are left out.
    """

    def __init__(self, folder: Path = STATIC_FOLDER) -> None:
        self._paths = {
            path.relative_to(folder).as_posix(): path
            for path in folder.rglob("*")
            if path.suffix in _TYPES and path.is_file()
        }

    def read(self, name: str) -> StaticFile | None:
        """Return a file, or None if there is none of this name."""
        path = self._paths.get(name)
        if path is None:
            return None
        try:
            data = path.read_bytes()
        except OSError:
            return None
        etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        return StaticFile(data, _TYPES[path.suffix], etag)
