"""Who may ask for what: names, origins, tokens, headers, paths, slow and many connections."""

import errno
import json
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from web_client import is_closed_by_peer, next_picture, next_text, raw_socket, socket_to
from web_server import TestServer, fake_face, running_server
from websockets.exceptions import InvalidStatus

from deepfer_ros.web.access import AccessError
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.server import Certificate, check_certificate, listen

TOKEN = "a-good-long-token_123"
MUCH = 20_000_000
SOCKETS = ["/api/live?camera=main", "/api/emotions", "/api/browser-camera"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    files = Certificate(str(folder / "cert.pem"), str(folder / "key.pem"))
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1".split()
    )
    subprocess.run(
        [*command, "-subj", "/CN=robot", "-out", files.certificate, "-keyout", files.private_key],
        check=True,
        capture_output=True,
    )
    return files


def ask(port: int, request: bytes) -> bytes:
    """Send bytes as they are, and return all that comes back."""
    with raw_socket(port) as connection:
        connection.sendall(request)
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError as err:
            if err.errno == errno.ENOTCONN:  # the server has reset it in the meantime
                raise ConnectionResetError(err.errno, err.strerror) from err
            raise
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_every_answer_has_the_security_headers(client: httpx.Client) -> None:
    for path in ("/", "/api/status", "/nothing", "/api/classify"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers
    assert client.get("/api/status").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example"])
def test_other_names_are_refused(client: httpx.Client, host: str) -> None:
    answer = client.get("/api/status", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "none of this server's" in answer.json()["detail"]


def test_further_names_can_be_allowed() -> None:
    with running_server(host_names=["robot.example"]) as server:
        answer = httpx.get(f"{server.url}/api/status", headers={"Host": "robot.example"})
    assert answer.status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PUT"])
def test_requests_of_other_origins_are_refused(client: httpx.Client, method: str) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = client.request(method, "/api/classify", headers=headers)
        assert answer.status_code == 403
        assert "other origins" in answer.json()["detail"]


def test_a_link_elsewhere_may_lead_to_the_page(client: httpx.Client) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("path", SOCKETS)
def test_websockets_of_other_origins_are_refused(server: TestServer, path: str) -> None:
    with (
        pytest.raises(InvalidStatus) as caught,
        socket_to(server.url + path, origin="http://evil.example"),
    ):
        pass
    assert caught.value.response.status_code == 403
    with socket_to(server.url + path, origin=server.url):
        pass


@pytest.fixture
def locked() -> TestServer:
    with running_server(token=TOKEN) as server:
        yield server


def test_without_the_token_nothing_is_told(locked: TestServer) -> None:
    with httpx.Client(base_url=locked.url) as visitor:
        for path in ("/api/status", "/api/cameras", "/api/openapi.json", "/nothing"):
            answer = visitor.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "token" in answer.json()["detail"]
        assert visitor.post("/api/classify", content=b"x").status_code == 401
        page = visitor.get("/")
        assert page.status_code == 401
        assert visitor.get("/?token=wrong-wrong-wrong-wrong").status_code == 401
        # A token in the address opens the page only: addresses end up in histories and logs.
        assert visitor.get(f"/api/status?token={TOKEN}").status_code == 401
    for path in SOCKETS:
        with pytest.raises(InvalidStatus) as caught, socket_to(locked.url + path):
            pass
        assert caught.value.response.status_code == 403


def test_the_address_with_the_token_gives_a_cookie(locked: TestServer) -> None:
    with httpx.Client(base_url=locked.url) as visitor:
        answer = visitor.get(f"/?token={TOKEN}")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert TOKEN not in cookie
        assert visitor.get("/").status_code == 200
        assert visitor.get("/api/status").status_code == 200
        header = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    url = f"{locked.url}/api/live?camera=main"
    with socket_to(url, additional_headers={"Cookie": header}) as viewer:
        next_text(viewer, "status")


def test_the_header_lets_programs_in(locked: TestServer) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{locked.url}/api/status", headers=headers).status_code == 200
    with socket_to(f"{locked.url}/api/live", additional_headers=headers) as viewer:
        next_text(viewer, "status")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (json.dumps({"token": TOKEN}), 204),
        (json.dumps({"token": "wrong"}), 401),
        (json.dumps({"token": 7}), 400),
        ("[]", 400),
        ("garbage", 400),
        ("[" * 4000, 400),
        ("", 400),
        ("x" * 5000, 413),
    ],
)
def test_a_session_is_given_for_the_token(locked: TestServer, body: str, status: int) -> None:
    with httpx.Client(base_url=locked.url) as visitor:
        answer = visitor.post("/api/session", content=body)
        assert answer.status_code == status
        assert ("set-cookie" in answer.headers) == (status == 204)
        assert visitor.get("/api/status").status_code == (200 if status == 204 else 401)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../web_node.py",
        "/static/..%2fweb_node.py",
        "/static/%2e%2e/%2e%2e/cli/__init__.py",
        "/static//etc/passwd",
        "/static/..\\web_node.py",
        "/static/index.html%00.png",
        "/static/",
        "/static",
        "//etc/passwd",
        "/static/css",
    ],
)
def test_no_path_leads_out_of_the_page(server: TestServer, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = ask(server.port, request.encode())
    assert answer.startswith(b"HTTP/1.1 404"), answer[:200]


def test_the_page_is_checked_again_by_its_tag(client: httpx.Client) -> None:
    first = client.get("/")
    assert first.status_code == 200
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    again = client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert client.head("/").status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"y" * 2_000_000 + b"\r\n\r\n",
        b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"GET /api/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\n\r\n",
    ],
    ids=["text", "tls", "no host", "two hosts", "long header", "length", "no handshake"],
)
def test_garbage_is_refused_and_the_server_lives(server: TestServer, request_bytes: bytes) -> None:
    try:
        answer = ask(server.port, request_bytes)
    except ConnectionError:
        answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert httpx.get(f"{server.url}/api/status").status_code == 200


def test_connections_that_say_nothing_are_closed() -> None:
    with running_server(limits=WebLimits(request_head_s=0.4)) as server:
        with raw_socket(server.port) as silent, raw_socket(server.port) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: local")
            assert is_closed_by_peer(silent)
            assert is_closed_by_peer(slow)
        assert httpx.get(f"{server.url}/api/status").status_code == 200


def test_an_idle_connection_is_closed_after_its_requests() -> None:
    with running_server(limits=WebLimits(request_head_s=0.4)) as server:
        with raw_socket(server.port) as connection:
            connection.sendall(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\nGET /half")
            assert is_closed_by_peer(connection)


def test_who_asks_now_and_then_keeps_the_connection() -> None:
    # A busy machine may make a pause longer than the one below.
    with running_server(limits=WebLimits(request_head_s=3.0)) as server:
        with raw_socket(server.port) as connection:
            for _ in range(10):
                connection.sendall(b"HEAD /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert connection.recv(65536).startswith(b"HTTP/1.1 405")
                time.sleep(0.5)


def ask_for_much(server: TestServer, *, certificate: Certificate | None = None) -> socket.socket:
    """Ask for 20 MB, more than the system takes at once, and read none of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.connect(("127.0.0.1", server.port))
    if certificate is not None:
        context = ssl.create_default_context(cafile=certificate.certificate)
        context.check_hostname = False
        connection = context.wrap_socket(connection)
    path = b"/api/cameras/main/snapshot.jpg"
    connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    while not server.watched:
        time.sleep(0.01)
    server.show("main", [], b"\xff\xd8" + bytes(MUCH - 2))
    return connection


@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
def test_a_slow_visitor_gets_the_whole_answer(certificate: Certificate, is_secure: bool) -> None:
    files = certificate if is_secure else None
    with running_server(limits=WebLimits(request_head_s=1.5), certificate=files) as server:
        with ask_for_much(server, certificate=files) as connection:
            read = 0
            start_s = time.monotonic()
            while read < MUCH:
                chunk = connection.recv(65536)
                assert chunk, f"cut off after {read} bytes"
                read += len(chunk)
                # As slow as a visitor who takes three times as long as an idle one may.
                time.sleep(max(0.0, start_s + 4.5 * read / MUCH - time.monotonic()))


def test_a_visitor_who_takes_nothing_of_an_answer_is_dropped() -> None:
    with running_server(limits=WebLimits(request_head_s=0.4)) as server:
        with ask_for_much(server) as connection:
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
            time.sleep(3)
            assert len(b"".join(iter(lambda: connection.recv(65536), b""))) < MUCH / 2


def test_a_flood_of_connections_disturbs_no_viewer(caplog: pytest.LogCaptureFixture) -> None:
    """Ten times as many connections as allowed; who looks already misses nothing."""
    limits = WebLimits(connections=40)
    with running_server(limits=limits) as server:
        with socket_to(f"{server.url}/api/live?camera=main") as viewer:
            next_text(viewer, "status")
            flood = []
            for number in range(400):
                flood.append(raw_socket(server.port))
                if number % 20 == 0:
                    server.show("main", [fake_face()])
                    assert next_picture(viewer).head["sequence"] == number // 20 + 1
            # Beyond the limit a connection is closed at once.
            assert is_closed_by_peer(flood[-1])
            for connection in flood:
                connection.close()
        # When they are gone, there is room again.
        with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as visitor:
            assert visitor.get(f"{server.url}/api/status").status_code == 200
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_a_port_in_use_is_an_error_in_one_sentence(server: TestServer) -> None:
    with pytest.raises(AccessError, match=rf"cannot listen on 127.0.0.1, port {server.port}"):
        listen("127.0.0.1", server.port)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no.such.invalid", 80)])
def test_an_address_of_others_is_an_error(host: str, port: int) -> None:
    with pytest.raises(AccessError, match="cannot listen"):
        listen(host, port)


def test_https_and_a_cookie_for_https_alone(certificate: Certificate) -> None:
    with running_server(token=TOKEN, certificate=certificate) as server:
        url = server.url.replace("http", "https")
        with httpx.Client(base_url=url, verify=False) as visitor:
            answer = visitor.get(f"/?token={TOKEN}")
            assert "; Secure" in answer.headers["set-cookie"]
            assert visitor.get("/api/status").status_code == 200


def test_connections_that_say_nothing_of_tls_are_closed(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    limits = WebLimits(request_head_s=0.4)
    with running_server(limits=limits, certificate=certificate) as server:
        with raw_socket(server.port) as silent, raw_socket(server.port) as slow:
            slow.sendall(b"\x16\x03\x01")
            assert is_closed_by_peer(silent)
            assert is_closed_by_peer(slow)
        url = server.url.replace("http", "https")
        assert httpx.get(f"{url}/api/status", verify=False).status_code == 200
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_a_server_ends_in_spite_of_those_who_linger(certificate: Certificate) -> None:
    # Since Python 3.12 a server waits for those who are not done with TLS.
    with running_server(limits=WebLimits(request_head_s=1.0), certificate=certificate) as server:
        with raw_socket(server.port):
            time.sleep(0.3)
            start_s = time.monotonic()
            server.close()
            assert time.monotonic() - start_s < 20


def test_files_that_are_no_certificate_are_an_error(
    certificate: Certificate, tmp_path: Path
) -> None:
    check_certificate(certificate)
    (tmp_path / "text").write_text("text")
    for wrong in ("missing", "text"):
        with pytest.raises(AccessError, match="cannot be used"):
            check_certificate(Certificate(str(tmp_path / wrong), certificate.private_key))


def test_an_encrypted_key_is_an_error_and_no_question(
    certificate: Certificate, tmp_path: Path
) -> None:
    path = str(tmp_path / "encrypted.pem")
    command = "openssl pkey -aes256 -passout pass:secret".split()
    subprocess.run([*command, "-in", certificate.private_key, "-out", path], check=True)
    with pytest.raises(AccessError, match=rf"{path} is encrypted.*give a key without one"):
        check_certificate(Certificate(certificate.certificate, path))
