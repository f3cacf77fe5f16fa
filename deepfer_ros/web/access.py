"""Who may talk to the web server: which names it answers to, which origins, which token."""

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable

MIN_TOKEN_LENGTH = 16
"""A shorter token could be found by trying."""

_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


class AccessError(Exception):
    """A token or an address with which the server must not start."""


class Access:
    """Decides by the headers of a request whether it may pass.

    Args:
        token: What visitors must show; None lets everybody in.
        host_names: Names of this machine that requests may use, beside localhost and addresses.
        port: Where the server listens; cookies of different ports must not be mixed up.

    Raises:
        AccessError: The token is too short, or has letters that a URL cannot hold.
    """

    def __init__(self, *, token: str | None, host_names: Iterable[str] = (), port: int) -> None:
        if token is not None:
            check_token(token)
        self._token = token
        self._host_names = {"localhost", *(name.lower().rstrip(".") for name in host_names)}
        self.cookie_name = f"deepfer_{port}"

    @property
    def needs_token(self) -> bool:
        """Whether visitors must show a token."""
        return self._token is not None

    @property
    def cookie_value(self) -> str:
        """What the cookie of a visitor holds who has shown the token: not the token itself."""
        return hashlib.sha256(f"deepfer {self._token}".encode()).hexdigest()

    def knows_host(self, host: str | None) -> bool:
        """Return whether a `Host` header names this machine.

        A page of a foreign site can have its own name lead to this machine (DNS rebinding) and
        would then count as the same origin; but it keeps its name. Addresses are no names.
        """
        match = _HOST.fullmatch(host or "")
        if match is None:
            return False
        name = match[1].strip("[]").lower().rstrip(".")
        return name in self._host_names or _is_address(name)

    def is_token(self, candidate: str) -> bool:
        """Return whether this is the token. Takes the same time wherever the difference is."""
        assert self._token is not None
        return hmac.compare_digest(candidate.encode("utf-8", "replace"), self._token.encode())

    def admits(self, authorization: str | None, cookie: str | None) -> bool:
        """Return whether the headers `Authorization` or `Cookie` show the token."""
        if self._token is None:
            return True
        kind, _, value = (authorization or "").partition(" ")
        if kind.lower() == "bearer" and self.is_token(value.strip()):
            return True
        shown = _read_cookie(cookie or "", self.cookie_name)
        return hmac.compare_digest(shown.encode("utf-8", "replace"), self.cookie_value.encode())


def is_foreign(host: str | None, origin: str | None, fetch_site: str | None) -> bool:
    """Return whether a browser says that a page of another origin makes this request.

    Programs that are no browsers send neither header.
    """
    if origin is not None and origin.partition("://")[2].lower() != (host or "").lower():
        return True
    return fetch_site in ("cross-site", "same-site")


def check_token(token: str) -> None:
    """Make sure that a token is good.

    Raises:
        AccessError: It is not.
    """
    if len(token) < MIN_TOKEN_LENGTH or not _TOKEN.fullmatch(token):
        raise AccessError(
            f"A token must have at least {MIN_TOKEN_LENGTH} letters, digits or any of '.', '_', "
            f"'~', '-'; got one of {len(token)} characters. Leave it out to have one made."
        )


def make_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(24)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens here.

    Raises:
        AccessError: The name leads nowhere.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    # UnicodeError: a name that no host can have.
    except (OSError, UnicodeError) as err:
        raise AccessError(
            f"The address '{host}' is unknown ({err}); use 127.0.0.1 for this machine alone, or "
            "0.0.0.0 for all networks that it is part of."
        ) from err
    return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)


def own_names() -> tuple[str, ...]:
    """Return the names under which others find this machine."""
    name = socket.gethostname().lower()
    return (name, f"{name.partition('.')[0]}.local")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _read_cookie(header: str, name: str) -> str:
    """Return the value of a cookie, or an empty string if the header has none of that name.

    Browsers send the cookies of all ports of a host, so other programs' are among them, and
    `http.cookies` drops the whole header where one of these is not to its taste.
    """
    for pair in header.split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return ""
