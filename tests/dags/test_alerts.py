"""What is told of a failed task, to a real web server and a real mail server on this machine."""

import asyncio
import json
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from nightreel_common.alerts import NotTold, alert, alert_of_timeout

CONTEXT = {
    "ti": SimpleNamespace(
        dag_id="nightly",
        task_id="train.train",
        run_id="manual__1",
        log_url="http://localhost:8080/dags/nightly",
    ),
    "exception": RuntimeError("a rank ended with an error & more"),
}


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[Any]]]:
    """The URL of a server, and the JSON that it was sent."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if self.path == "/hook" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()
    server.server_close()


@pytest.fixture
def mail_server() -> Iterator[tuple[int, list[str]]]:
    """The port of a server that speaks just enough SMTP, and the lines that it was sent."""
    lines: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        in_body = False
        while line := (await reader.readline()).decode():
            lines.append(line.rstrip("\r\n"))
            if in_body and lines[-1] != ".":
                continue
            in_body = lines[-1].upper() == "DATA"
            writer.write(b"354 go on\r\n" if in_body else b"250 yes\r\n")
        writer.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(talk, "127.0.0.1", 0))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    yield server.sockets[0].getsockname()[1], lines
    loop.call_soon_threadsafe(loop.stop)


def test_nobody_is_told_by_default(webhook: tuple[str, list[Any]]) -> None:
    alert(CONTEXT)
    assert webhook[1] == []


def test_a_webhook_is_told_what_failed_why_and_where(
    webhook: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, received = webhook
    monkeypatch.setenv("AIRFLOW_VAR_NIGHTREEL_ALERT_WEBHOOK", url)
    alert(CONTEXT)
    assert received == [
        {
            "text": "Nightreel: nightly.train.train failed in run manual__1: "
            "a rank ended with an error & more\nhttp://localhost:8080/dags/nightly"
        }
    ]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://127.0.0.1:{port}/missing/hidden", "it answered 404"),
        ("http://127.0.0.1:1/hidden", "ConnectError"),
        ("hidden", "UnsupportedProtocol"),
        ("http://host:hidden/", "InvalidURL"),
    ],
)
def test_the_address_of_a_webhook_is_repeated_nowhere(
    webhook: tuple[str, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    address: str,
    problem: str,
) -> None:
    port = urlsplit(webhook[0]).port
    monkeypatch.setenv("AIRFLOW_VAR_NIGHTREEL_ALERT_WEBHOOK", address.format(port=port))
    with pytest.raises(NotTold, match=f"was not told: {problem}") as failed:
        alert(CONTEXT)
    # As whoever calls a callback logs it, with all that it was raised from.
    assert "hidden" not in "".join(traceback.format_exception(failed.value))
    assert "hidden" not in caplog.text


def test_a_run_that_took_too_long_is_told_of_and_other_ends_are_not(
    webhook: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, received = webhook
    monkeypatch.setenv("AIRFLOW_VAR_NIGHTREEL_ALERT_WEBHOOK", url)
    run = SimpleNamespace(dag_id="nightly", run_id="manual__1")
    for reason in ("task_failure", "timed_out"):
        alert_of_timeout({"reason": reason, "dag_run": run})
    assert received == [{"text": "Nightreel: nightly took too long: run manual__1 was ended."}]


def test_an_email_goes_to_every_address(
    mail_server: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, lines = mail_server
    connection = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": port,
        "extra": {"from_email": "nightreel@example.org", "disable_ssl": True, "disable_tls": True},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_VAR_NIGHTREEL_ALERT_EMAIL", "a@example.org, b@example.org")
    # A webhook that does not answer takes nothing away from it.
    monkeypatch.setenv("AIRFLOW_VAR_NIGHTREEL_ALERT_WEBHOOK", "http://127.0.0.1:1/hook")
    with pytest.raises(NotTold, match="was not told: ConnectError"):
        alert(CONTEXT)
    assert "rcpt TO:<a@example.org>" in lines
    assert "rcpt TO:<b@example.org>" in lines
    assert "Subject: Nightreel: nightly.train.train failed" in lines
