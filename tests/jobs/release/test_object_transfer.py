"""Fetching from a real S3 server: resumed, checked, and what stops it."""

import hashlib
from contextlib import contextmanager

import pytest

from jobs.ingest import main
from jobs.release import object_transfer, transfer
from jobs.release.download import DownloadError, download
from jobs.runs.run import open_run
from jobs.runs.warehouse import Warehouse
from tests.jobs.test_ingest import FILES, write_zip
from tests.servers.s3 import bucket_client

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def put(s3, bucket):
    """Put an object into the bucket; returns its address."""

    def put(name, content):
        bucket_client(s3).put_object(Bucket=bucket[5:], Key=f"deep/{name}", Body=content)
        return f"{bucket}/deep/{name}"

    return put


def fetch(uri, folder):
    return download(uri, folder, checksum_required=False, max_gib=1, pause=0)


@pytest.fixture
def ranges(monkeypatch):
    """Every range asked for, in chunks of 1000 bytes."""
    asked = []
    get = object_transfer.obstore.get

    def noted(store, name, *, options=None):
        if options:
            asked.append(options["range"])
        return get(store, name, options=options)

    monkeypatch.setattr(object_transfer.obstore, "get", noted)
    monkeypatch.setattr(object_transfer, "CHUNK", 1000)
    return asked


def killed_after(monkeypatch, count, uri, folder):
    """Fetch, and be killed when so many chunks are written."""

    @contextmanager
    def mortal(*arguments):
        written = []

        def advance(size):
            written.append(size)
            if len(written) == count:
                raise KeyboardInterrupt

        yield advance

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "show_transfer", mortal)
        with pytest.raises(KeyboardInterrupt):
            fetch(uri, folder)


def test_a_killed_transfer_is_continued(put, ranges, monkeypatch, tmp_path):
    uri = put("r.zip", CONTENT)
    killed_after(monkeypatch, 2, uri, tmp_path)
    del ranges[:]
    file = fetch(uri, tmp_path)
    assert file.read_bytes() == CONTENT
    assert ranges[0] == (2000, 3000)
    assert ranges[-1] == (10000, 10240)
    assert list(tmp_path.iterdir()) == [file]


def test_a_rest_that_does_not_fit_is_never_appended(put, ranges, monkeypatch, tmp_path):
    killed_after(monkeypatch, 2, put("r.zip", CONTENT), tmp_path)
    assert fetch(put("r.zip", CONTENT[::-1]), tmp_path).read_bytes() == CONTENT[::-1]


def test_an_object_that_changes_meanwhile_is_fetched_anew(put, ranges, monkeypatch, tmp_path):
    uri, get = put("r.zip", CONTENT), object_transfer.obstore.get

    def changed(store, name, *, options=None):
        if options and options["range"][0] == 3000 and len(ranges) < 5:
            put("r.zip", CONTENT[::-1])
        return get(store, name, options=options)

    monkeypatch.setattr(object_transfer.obstore, "get", changed)
    assert fetch(uri, tmp_path).read_bytes() == CONTENT[::-1]


def test_the_checksum_beside_it_is_looked_at(put, tmp_path, capsys):
    uri = put("r.zip", CONTENT)
    assert fetch(uri, tmp_path).read_bytes() == CONTENT
    assert f"not verified: there is no {uri}.md5" in capsys.readouterr().out
    put("r.zip.md5", f"{hashlib.md5(CONTENT).hexdigest()}  r.zip\n".encode())
    fetch(uri, tmp_path)
    assert "is complete already, MD5" in capsys.readouterr().out
    put("r.zip.md5", b"0" * 32)
    with pytest.raises(DownloadError, match="arrived damaged and was removed"):
        fetch(uri, tmp_path)


def test_what_cannot_be_had_is_said(put, s3, tmp_path, monkeypatch, reject_credentials):
    uri = put("r.zip", CONTENT)
    with pytest.raises(DownloadError, match=r"other.zip could not be downloaded: there is no such"):
        fetch(uri.replace("r.zip", "other.zip"), tmp_path)
    with pytest.raises(DownloadError, match=r"nobody-s/r.zip could not .* or no such bucket"):
        fetch("s3://nobody-s/r.zip", tmp_path)
    with reject_credentials(), pytest.raises(DownloadError, match=r"The AWS Access Key Id .*\(Inv"):
        fetch(uri, tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(DownloadError, match=r"http://127.0.0.1:1 cannot be reached"):
        fetch(uri, tmp_path)


def test_a_run_starts_from_an_object(put, tmp_path):
    uri = put("ml-1m.zip", write_zip(tmp_path / "ml-1m.zip", FILES).read_bytes())
    arguments = ["--warehouse", str(tmp_path / "w"), "--run-id", "a", "--dataset", "ml-1m"]
    main([*arguments, "--source", uri])
    run = open_run(Warehouse(tmp_path / "w"), "a")
    assert {name: (run.raw / name).read_text() for name in FILES} == FILES
    assert run.conf.ingest.source == uri
