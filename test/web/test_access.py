import pytest

from deepfer_ros.web.access import (
    Access,
    AccessError,
    is_foreign,
    is_loopback,
    make_token,
)

TOKEN = "a-good-long-token_123"


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost", True),
        ("localhost:8080", True),
        ("LOCALHOST:1", True),
        ("127.0.0.1:8080", True),
        ("192.168.1.7", True),
        ("[::1]:8080", True),
        ("robot.local:8080", True),
        ("robot.local.", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example:8080", False),
        ("localhost:8080:9", False),
        ("localhost, evil.example", False),
        ("", False),
        (None, False),
    ],
)
def test_only_names_of_this_machine_are_known(host: str | None, known: bool) -> None:
    access = Access(token=None, host_names=["Robot.local"], port=8080)
    assert access.knows_host(host) == known


@pytest.mark.parametrize(
    ("origin", "site", "foreign"),
    [
        (None, None, False),
        ("http://localhost:8080", "same-origin", False),
        ("https://localhost:8080", None, False),
        ("http://localhost:8081", None, True),
        ("http://evil.example", "cross-site", True),
        ("null", None, True),
        ("", None, True),
        (None, "cross-site", True),
        (None, "same-site", True),
        (None, "none", False),
    ],
)
def test_requests_of_other_origins_are_foreign(
    origin: str | None, site: str | None, foreign: bool
) -> None:
    assert is_foreign("localhost:8080", origin, site) == foreign


def test_without_a_token_everybody_may_pass() -> None:
    access = Access(token=None, port=8080)
    assert not access.needs_token
    assert access.admits(None, None)


@pytest.mark.parametrize(
    ("authorization", "admitted"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        (f"Bearer {TOKEN}x", False),
        ("Bearer", False),
        ("Bearer ünd", False),
        (f"Basic {TOKEN}", False),
        (None, False),
    ],
)
def test_the_header_shows_the_token(authorization: str | None, admitted: bool) -> None:
    assert Access(token=TOKEN, port=8080).admits(authorization, None) == admitted


def test_the_cookie_lets_in_and_is_not_the_token() -> None:
    access = Access(token=TOKEN, port=8080)
    value = access.cookie_value
    assert TOKEN not in value
    assert access.admits(None, f"a=b; deepfer_8080={value}")
    assert not access.admits(None, f"deepfer_8080={TOKEN}")
    assert not access.admits(None, f"deepfer_8081={value}")
    assert not access.admits(None, "deepfer_8080")
    assert not access.admits(None, "\x00;;=;")


@pytest.mark.parametrize(
    "neighbour",
    ['a={"x":1}', 'csrf="x', "a=b c", "x", "=", "a=é", "a[0]=1", "", "a=x; deepfer_8081=y"],
)
def test_cookies_of_other_programs_do_no_harm(neighbour: str) -> None:
    access = Access(token=TOKEN, port=8080)
    own = f"deepfer_8080={access.cookie_value}"
    assert access.admits(None, f"{neighbour}; {own}")
    assert access.admits(None, f"{own}; {neighbour}")
    assert access.admits(None, f"{neighbour};{own} ;{neighbour}")
    assert not access.admits(None, neighbour)


@pytest.mark.parametrize("token", ["", "short", "a b c d e f g h i j", "ümlaut-ümlaut-ümlaut"])
def test_a_bad_token_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(AccessError, match="at least 16") as caught:
        Access(token=token, port=8080)
    assert not token or token not in str(caught.value)


def test_a_made_token_is_good_and_new() -> None:
    tokens = {make_token() for _ in range(20)}
    assert len(tokens) == 20
    for token in tokens:
        assert Access(token=token, port=1).is_token(token)


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_loopback_addresses_are_told_from_others(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 300, "a..b"])
def test_an_unknown_address_is_an_error(host: str) -> None:
    with pytest.raises(AccessError, match="is unknown"):
        is_loopback(host)
