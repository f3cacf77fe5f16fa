"""What a check of `deepfer doctor` has found."""

from dataclasses import dataclass

OK = "ok"
MISSING = "missing"
PROBLEM = "problem"
OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found.

    Attributes:
        status: `OK`; `MISSING` if the nodes need it; `PROBLEM` if it is there and does not work;
            `OPTIONAL` if the nodes can do without.
        detail: What is there, or what is wrong.
        advice: What to do; empty if nothing needs to be done.
    """

    status: str
    detail: str
    advice: str = ""
