"""What is answered to requests that cannot be fulfilled: `application/problem+json`, RFC 9457."""

import json
from http import HTTPStatus

PROBLEM_TYPE = "application/problem+json"


class ProblemError(Exception):
    """A request that cannot be fulfilled.

    Args:
        status: HTTP status.
        detail: One sentence: what was received, what is allowed, what to do.
        retry_after_s: When it is worth to try again.
    """

    def __init__(self, status: int, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s


def problem_body(status: int, detail: str) -> bytes:
    """Return the body of the answer."""
    title = HTTPStatus(status).phrase
    return json.dumps({"title": title, "status": status, "detail": detail}).encode()
