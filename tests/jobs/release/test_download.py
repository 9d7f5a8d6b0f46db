import hashlib
import ipaddress
import re
import resource
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jobs.release import http_transfer
from jobs.release.download import ATTEMPTS, DownloadError, download
from jobs.release.http_transfer import CHUNK
from jobs.runs.errors import JobError

CONTENT = bytes(range(256)) * 2000


class Server(ThreadingHTTPServer):
    """Serves one file as a web server does; each transfer may be cut short."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        self.content = CONTENT
        self.md5: str | None = f"MD5 (r.zip) = {hashlib.md5(CONTENT).hexdigest()}\n"
        self.cuts: list[int] = []
        """How many bytes of each transfer to send before it breaks off."""
        self.knows_ranges = True
        self.forward: str | None = None
        """Where every request for the file is sent on to."""
        self.drips: str | None = None
        """What comes a byte at a time: headers or body."""
        self.pause = 0.0
        """Seconds before each byte then."""
        self.says_length = True
        self.requests: list[str | None] = []
        """The Range of each transfer asked for."""
        self.signature: str | None = None
        """What must stand behind the ? of a request, if anything."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/r.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.path, _, signature = self.path.partition("?")
        if self.server.signature and signature != self.server.signature:
            return self.send_error(403)
        if self.path.endswith(".md5"):
            if self.server.md5 is None:
                return self.send_error(404)
            return self.answer(200, self.server.md5.encode())
        self.server.requests.append(self.headers["Range"])
        if self.server.forward:
            self.send_response(302)
            self.send_header("Location", self.server.forward)
            return self.end_headers()
        if self.path != "/r.zip":
            return self.send_error(404)
        whole = self.server.content
        wanted = re.match(r"bytes=(\d+)-", self.headers["Range"] or "")
        unchanged = self.headers["If-Range"] == self.etag()
        if wanted and self.server.knows_ranges and unchanged:
            self.answer(206, whole[int(wanted[1]) :])
        else:
            self.answer(200, whole)

    def etag(self) -> str:
        return f'"{hashlib.md5(self.server.content).hexdigest()}"'

    def answer(self, status: int, body: bytes) -> None:
        is_file = not self.path.endswith(".md5")
        if is_file and self.server.drips == "headers":
            return self.drip(b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 100)
        self.send_response(status)
        if self.server.says_length or not is_file:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.etag())
        self.end_headers()
        if is_file and self.server.drips == "body":
            return self.drip(body)
        cut = self.server.cuts.pop(0) if is_file and self.server.cuts else len(body)
        # A client that has seen enough has gone.
        with suppress(OSError):
            self.wfile.write(body[:cut])

    def drip(self, content: bytes) -> None:
        with suppress(OSError):
            for place in range(len(content)):
                time.sleep(self.server.pause)
                self.wfile.write(content[place : place + 1])

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server: Server, folder: Path, checksum_required: bool = True) -> Path:
    return download(server.url, folder, checksum_required, max_gib=1, pause=0)


def test_interrupted_transfer_is_resumed(server: Server, tmp_path: Path):
    server.cuts = [2 * CHUNK + 500, CHUNK + 500]
    file = fetch(server, tmp_path)
    assert file.read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={2 * CHUNK}-", f"bytes={3 * CHUNK}-"]
    assert list(tmp_path.iterdir()) == [file]


def test_the_next_run_continues_what_one_left(server: Server, tmp_path: Path):
    server.cuts = [CHUNK] + [0] * (ATTEMPTS - 1)
    with pytest.raises(DownloadError, match=r"r\.zip could not be downloaded: the transfer was"):
        fetch(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.requests[-1] == f"bytes={CHUNK}-"


@pytest.mark.parametrize("change", ["content", "knows_ranges"])
def test_a_rest_that_does_not_fit_is_never_appended(server: Server, tmp_path: Path, change: str):
    server.cuts = [CHUNK] + [0] * (ATTEMPTS - 1)
    with pytest.raises(DownloadError):
        fetch(server, tmp_path)
    if change == "content":
        server.content = CONTENT[::-1]
        server.md5 = hashlib.md5(server.content).hexdigest() + "  r.zip\n"
    else:
        server.knows_ranges = False
    assert fetch(server, tmp_path).read_bytes() == server.content


def test_wrong_checksum_is_refused(server: Server, tmp_path: Path):
    server.md5 = "MD5 (r.zip) = " + "0" * 32
    with pytest.raises(DownloadError, match="arrived damaged and was removed: its MD5 is"):
        fetch(server, tmp_path)
    assert not (tmp_path / "r.zip").exists()
    assert not (tmp_path / "r.zip.part").exists()


def test_missing_checksum(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    server.md5 = None
    with pytest.raises(DownloadError, match=r"r\.zip\.md5 holds no checksum"):
        fetch(server, tmp_path)
    assert fetch(server, tmp_path, checksum_required=False).read_bytes() == CONTENT
    assert "not verified: there is no" in capsys.readouterr().out


def test_verified_file_is_not_fetched_again(server: Server, tmp_path: Path):
    first, second = fetch(server, tmp_path), fetch(server, tmp_path)
    assert first == second
    assert server.requests == [None]
    first.write_bytes(b"damaged")
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_lasting_fault_is_not_tried_again(server: Server, tmp_path: Path):
    missing = server.url.replace("r.zip", "other.zip")
    with pytest.raises(DownloadError, match="the server answered 404 Not Found"):
        download(missing, tmp_path, checksum_required=True, max_gib=1, pause=0)
    assert len(server.requests) == 1


def test_a_checksum_of_any_length_is_read_to_its_beginning(server: Server, tmp_path: Path):
    """It says which zip, then zeros that would fill the memory."""
    server.md5 = f"{hashlib.md5(CONTENT).hexdigest()}  r.zip\n" + "0" * (200 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    # In KiB; the server, which has made the text, is in this process.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


@pytest.mark.parametrize("told", [True, False])
def test_more_than_the_limit_is_refused(server: Server, tmp_path: Path, told: bool):
    """By what the server says of its length, or where it says nothing, by what comes."""
    server.says_length = told
    with pytest.raises(DownloadError, match=r"it has more than 0\.0002\d* GiB.*max_download_gib"):
        download(server.url, tmp_path, checksum_required=True, max_gib=0.0002, pause=0)
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("slow", ["headers", "body"])
def test_a_server_that_drips_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
):
    """Each byte begins a socket's time limit anew."""
    monkeypatch.setattr(http_transfer, "PATIENCE", 0.3)
    server.drips, server.pause = slow, 0.05
    started = time.monotonic()
    problem = "did not answer in time" if slow == "headers" else "sends less than 64 KiB in"
    with pytest.raises(DownloadError, match=f"could not be downloaded: the server {problem}"):
        fetch(server, tmp_path)
    assert len(server.requests) == ATTEMPTS
    assert time.monotonic() - started < 60


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key, and the certificate of 127.0.0.1 that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *form))
    (folder / "certificate.pem").write_bytes(signed.public_bytes(pem))
    return folder / "key.pem", folder / "certificate.pem"


def test_what_begins_with_tls_goes_on_with_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with Server() as secure:
        key, signed = certificate(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed, key)
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        secure.scheme = "https"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(signed))
        thread = Thread(target=secure.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            assert fetch(secure, tmp_path / "whole").read_bytes() == CONTENT
            secure.forward = server.url
            with pytest.raises(DownloadError, match=r"it leads on to 127.* without TLS, where"):
                fetch(secure, tmp_path / "forwarded")
            assert server.requests == []
            # The other way is no worse than before.
            secure.forward, server.forward = None, secure.url
            assert fetch(server, tmp_path / "better").read_bytes() == CONTENT
        finally:
            secure.shutdown()
            thread.join()


def test_what_is_secret_in_an_address_goes_to_its_server_alone(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    server.signature = "signature=hidden"
    monkeypatch.setenv("NIGHTREEL_SOURCE", f"{server.url}?signature=hidden")
    # The checksum lies behind the file's name, and is asked for with the same signature.
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    server.cuts = [CHUNK] + [0] * (ATTEMPTS - 1)
    other = server.url.replace("r.zip", "other.zip")
    with pytest.raises(DownloadError, match="answered 403"):
        download(other, tmp_path, checksum_required=False, max_gib=1, pause=0)
    said = capsys.readouterr()
    assert "verified" in said.out
    assert "hidden" not in said.out + said.err
    assert not [file for file in tmp_path.iterdir() if b"hidden" in file.read_bytes()]


def test_an_address_that_cannot_be_fetched_is_not_repeated_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NIGHTREEL_SOURCE", "http://user:hidden@no host/r.zip")
    with pytest.raises(JobError) as failed:
        download("http://no host/r.zip", tmp_path, False, max_gib=1, pause=0)
    assert "hidden" not in str(failed.value)
