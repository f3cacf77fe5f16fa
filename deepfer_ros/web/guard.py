"""The gate before the application: hosts, origins, tokens, and headers on every answer."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from deepfer_ros.web.access import Access, is_foreign
from deepfer_ros.web.problems import PROBLEM_TYPE, problem_body

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
]
_NO_STORE = (b"cache-control", b"no-store")
_PAGE = "/"
_SESSION = "/api/session"
_MAX_QUERY_FIELDS = 50
_MAX_AGE_S = 30 * 24 * 3600


class Guard:
    """Lets requests pass to an application that come from where they may, and show the token.

    Args:
        application: What answers the requests that pass.
        access: Who may pass.
        locked_page: Answers a person's browser that shows no token, with status 401.
        secure: Whether the server speaks TLS, so that cookies may be kept to it.
    """

    def __init__(
        self, application: Application, access: Access, locked_page: Application, *, secure: bool
    ) -> None:
        self._application = application
        self._access = access
        self._locked_page = locked_page
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        guarded = _with_headers(send, is_static=scope["path"].startswith("/static/"))
        answer = self._choose(scope)
        await answer(scope, receive, guarded)

    def session_cookie(self) -> str:
        """Return the header that lets a browser in from now on."""
        secure = "; Secure" if self._secure else ""
        # Lax: a link to this page in another page has to carry the cookie over the redirection.
        return (
            f"{self._access.cookie_name}={self._access.cookie_value}; Path=/; HttpOnly; "
            f"SameSite=Lax; Max-Age={_MAX_AGE_S}{secure}"
        )

    def _choose(self, scope: Scope) -> Application:
        """Return what answers."""
        headers = _read_headers(scope)
        path, host = scope["path"], headers.get("host")
        if not self._access.knows_host(host):
            return _refuse(
                400,
                f"The name '{host or ''}' is none of this server's; use its address or localhost, "
                "or start it with this name as an allowed host.",
            )
        is_page = path == _PAGE and scope.get("method") in ("GET", "HEAD")
        site = headers.get("sec-fetch-site")
        # A link to the page may stand anywhere; nothing else may be asked for from elsewhere.
        if is_foreign(host, headers.get("origin"), None if is_page else site):
            return _refuse(403, "Requests from pages of other origins are refused.")
        if path.startswith("/static/") or path in (_SESSION, "/favicon.ico"):
            return self._application
        if self._access.needs_token and is_page:
            token = _query(scope, "token")
            if token is not None and self._access.is_token(token):
                return self._let_in
        if self._access.admits(headers.get("authorization"), headers.get("cookie")):
            return self._application
        if is_page:
            return self._locked_page
        return _refuse(
            401,
            "A token is needed: open the address that the server printed when it started, or send "
            "the header 'Authorization: Bearer TOKEN'.",
            [(b"www-authenticate", b"Bearer")],
        )

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the cookie, and take the token out of the address and so out of the history."""
        headers = [
            (b"location", b"/"),
            (b"set-cookie", self.session_cookie().encode()),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _refuse(
    status: int, detail: str, extra: list[tuple[bytes, bytes]] | None = None
) -> Application:
    """Return an application that answers everything with a problem."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # Before the handshake is complete this is an ordinary answer with status 403.
            await send({"type": "websocket.close", "code": 1008, "reason": detail[:120]})
            return
        body = problem_body(status, detail)
        headers = [
            (b"content-type", PROBLEM_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            *(extra or []),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        # To HEAD, the server sends the headers alone.
        await send({"type": "http.response.body", "body": body})

    return refuse


def _with_headers(send: Send, *, is_static: bool) -> Send:
    """Return a `send` that adds the headers of every answer."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), *_HEADERS]
            if not is_static and not any(name.lower() == b"cache-control" for name, _ in headers):
                headers.append(_NO_STORE)
            message = {**message, "headers": headers}
        await send(message)

    return guarded


def _read_headers(scope: Scope) -> dict[str, str]:
    """Return the headers by name; of one that comes twice all values, which fits no rule."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        separator = "; " if name == "cookie" else ", "
        headers[name] = f"{headers[name]}{separator}{value}" if name in headers else value
    return headers


def _query(scope: Scope, name: str) -> str | None:
    query = scope.get("query_string", b"").decode("latin-1")
    try:
        values = parse_qs(query, max_num_fields=_MAX_QUERY_FIELDS).get(name)
    except ValueError:
        return None
    return values[0] if values else None
