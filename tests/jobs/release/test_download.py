import hashlib
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from jobs.release.download import ATTEMPTS, DownloadError, download
from jobs.release.http_transfer import CHUNK

CONTENT = bytes(range(256)) * 2000


class Server(ThreadingHTTPServer):
    """Serves one file as a web server does; each transfer may be cut short."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.md5: str | None = f"MD5 (r.zip) = {hashlib.md5(CONTENT).hexdigest()}\n"
        self.cuts: list[int] = []
        """How many bytes of each transfer to send before it breaks off."""
        self.knows_ranges = True
        self.requests: list[str | None] = []
        """The Range of each transfer asked for."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/r.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path.endswith(".md5"):
            if self.server.md5 is None:
                return self.send_error(404)
            return self.answer(200, self.server.md5.encode())
        self.server.requests.append(self.headers["Range"])
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
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.etag())
        self.end_headers()
        is_file = not self.path.endswith(".md5")
        cut = self.server.cuts.pop(0) if is_file and self.server.cuts else len(body)
        self.wfile.write(body[:cut])

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
    return download(server.url, folder, checksum_required, pause=0)


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
        download(missing, tmp_path, checksum_required=True, pause=0)
    assert len(server.requests) == 1
