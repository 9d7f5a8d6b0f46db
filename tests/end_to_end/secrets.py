"""Secrets that are planted for runs in Airflow, and looked for wherever these leave anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

import psutil

from tests.servers.postgresql import PASSWORD
from tests.servers.s3 import SECRET

SIGNATURE, HOOK, MLFLOW = "planted-signature", "planted-hook", "planted-password"
# Where events of OpenLineage are taken in.
LINEAGE = "lineage"
PLANTED = [SIGNATURE, HOOK, MLFLOW]
PLANTED += [form for secret in (PASSWORD, SECRET) for form in (secret, quote(secret, safe=""))]


class Web(ThreadingHTTPServer):
    """Gives a zip to who has the signature, takes in lineage, and refuses what else it is told."""

    content = b""
    told = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lineage: list[dict[str, Any]] = []
        """The events of OpenLineage, as they came."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def source(self) -> str:
        """Of the zip, without the signature."""
        return f"{self.address}/ml-1m.zip"


class Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        known = query == f"X-Amz-Signature={SIGNATURE}"
        body = self.server.content if path == "/ml-1m.zip" and known else b""
        self.send_response(200 if body else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        if self.path == f"/{LINEAGE}":
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.lineage.append(json.loads(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.server.told += self.path == f"/{HOOK}"
        self.send_error(500)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def web_server(delivery: Path, scratch: Path) -> Iterator[Web]:
    with Web(("127.0.0.1", 0), Handler) as server:
        zipped = Path(shutil.make_archive(str(scratch / "served"), "zip", delivery))
        server.content = zipped.read_bytes()
        zipped.unlink()
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class Watch:
    """Notes every command line of the machine on which something planted stands."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.saw_ranks = False
        self.ended = Event()
        self.watching = Thread(target=self.watch, daemon=True)
        self.watching.start()

    def watch(self) -> None:
        while not self.ended.wait(0.2):
            for process in psutil.process_iter(["cmdline"]):
                line = " ".join(process.info["cmdline"] or [])
                self.saw_ranks |= "model.training.worker" in line
                self.found |= {line for secret in PLANTED if secret in line}

    def end(self) -> None:
        self.ended.set()
        self.watching.join()


def left_in(folder: Path) -> list[str]:
    """The files, logs and databases among them, in which something planted stands."""
    return [
        f"{file}: {secret}"
        for file in folder.rglob("*")
        if file.is_file()
        for secret in PLANTED
        if secret.encode() in file.read_bytes()
    ]
