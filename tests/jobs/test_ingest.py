import json
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from jobs import etl
from jobs.ingest import main
from jobs.release import obtain
from jobs.release.obtain import incoming_folder
from jobs.release.raw import describe, digest_of, is_whole, keep
from jobs.runs.erased import add_erased
from jobs.runs.errors import JobError
from jobs.runs.run import open_run
from jobs.runs.warehouse import Warehouse
from tests.servers.users import as_nobody, only_root_is_two_users

FILES = {
    "README": "Four ratings.\n",
    "ratings.dat": "1::10::5::978300000\n1::20::3::978300001\n2::10::4::0\n2::20::1::0\n",
    "movies.dat": "10::Paper Kite, The (1990)::Drama\n20::Harriet's Ledger (1974)::Crime\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
}


def write_folder(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def write_zip(file: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"ml-1m/{name}", content)
    return file


def ingest(warehouse: Path, source: Path | str | None, *more: str, run_id: str = "a") -> None:
    release = ["--dataset", "ml-1m", "--source", str(source)] if source else []
    fixed = ["--warehouse", str(warehouse), "--run-id", run_id, "--ds", "2026-11-23"]
    main([*fixed, *release, *more])


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file but those of locks, and every folder as a name ending in a slash."""
    return {
        f"{path}/" if path.is_dir() else str(path): b"" if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def test_a_run_starts_from_a_zip(tmp_path: Path):
    source = write_zip(tmp_path / "ml-1m.zip", FILES)
    ingest(tmp_path / "w", source, "--set", "score.top_k=5", run_id="scheduled__2026-11-23T02:00")
    run = open_run(Warehouse(tmp_path / "w"), "scheduled__2026-11-23T02-00")
    assert (run.ds, run.release, run.champion) == (date(2026, 11, 23), "ml-1m", None)
    assert run.conf.score.top_k == 5
    figures = run.record("ingest")
    size = sum(len(content) for content in FILES.values())
    assert (figures["files"], figures["bytes"], figures["digest"]) == (4, size, run.digest)
    assert {name: (run.raw / name).read_text() for name in FILES} == FILES
    manifest = json.loads((run.raw / "manifest.json").read_text())
    assert manifest["source"] == str(source)
    assert manifest["files"]["README"]["bytes"] == len(FILES["README"])
    assert [path.name for path in (tmp_path / "w" / "raw").iterdir()] == ["ml-1m"]


def test_the_same_content_is_kept_once(tmp_path: Path):
    """A zip, the folder it unpacks to and the raw zone's own copy are one delivery."""
    warehouse = tmp_path / "w"
    ingest(warehouse, write_zip(tmp_path / "ml-1m.zip", FILES), run_id="zip")
    before = content_of(warehouse / "raw")
    ingest(warehouse, write_folder(tmp_path / "ml-1m", FILES), run_id="folder")
    ingest(warehouse, open_run(Warehouse(warehouse), "zip").raw, run_id="raw")
    assert content_of(warehouse / "raw") == before
    digests = {open_run(Warehouse(warehouse), run_id).digest for run_id in ("zip", "folder", "raw")}
    assert len(digests) == 1
    changed = FILES | {"README": "Four ratings!\n"}
    ingest(warehouse, write_folder(tmp_path / "changed", changed), run_id="changed")
    assert open_run(Warehouse(warehouse), "changed").digest not in digests


def test_parts_of_days_are_read_up_to_the_date_and_kept_once(tmp_path: Path, capsys):
    """An unchanged part of a delivery that grows lies on the disk once, whatever is done to it."""
    source, warehouse = tmp_path / "orders", tmp_path / "w"

    def part(day: int, *lines: str) -> None:
        folder = source / f"ds=2026-11-{day}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "orders.csv").write_text("user,item,rating\n" + "\n".join(lines) + "\n")

    def night(day: int) -> Path:
        fixed = ["--warehouse", str(warehouse), "--run-id", f"n{day}", "--ds", f"2026-11-{day}"]
        main([*fixed, "--dataset", "shop", "--source", str(source)])
        return open_run(Warehouse(warehouse), f"n{day}").raw

    part(20, "1,10,4", "2,10,5")
    first = night(20)
    part(21, "1,11,3")
    part(23, "2,11,3")
    second = night(21)
    assert sorted(path.parent.name for path in second.rglob("*.csv")) == [
        "ds=2026-11-20",
        "ds=2026-11-21",
    ]
    assert (second / "ds=2026-11-20/orders.csv").samefile(first / "ds=2026-11-20/orders.csv")
    assert "ingest: new among 2 files in folders of days: 1" in capsys.readouterr().out
    part(20, "1,10,1")
    # What was changed in the raw zone is not taken for what was delivered.
    (second / "ds=2026-11-21/orders.csv").write_text("user,item,rating\n1,11,9\n")
    third = night(23)
    assert (third / "ds=2026-11-21/orders.csv").read_text().endswith("1,11,3\n")
    assert is_whole(third)
    record = open_run(Warehouse(warehouse), "n23").record("ingest")
    assert record["parts"] == {"new": 1, "changed": 1, "gone": 0}
    assert "changed since 2" in capsys.readouterr().out


def without(*names: str) -> dict[str, str]:
    return {name: content for name, content in FILES.items() if name not in names}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (without("movies.dat"), r"movies\.dat is missing.*found ratings\.dat\."),
        (without("ratings.dat"), r"ratings\.dat is missing"),
        (without("ratings.dat", "movies.dat"), r"no release that is read here.*found none"),
        ({"u.data": "", "u.item": ""}, "u.genre is missing"),
    ],
)
def test_incomplete_delivery_is_refused(tmp_path: Path, files: dict[str, str], sentence: str):
    source = write_folder(tmp_path / "delivery", files)
    with pytest.raises(JobError, match=rf"delivery: .*{sentence}"):
        ingest(tmp_path / "w", source)
    assert content_of(tmp_path / "w") == {f"{tmp_path}/w/staging/": b""}


def test_users_are_optional_and_csv_is_known(tmp_path: Path):
    ingest(tmp_path / "w", write_folder(tmp_path / "dat", without("users.dat")), run_id="dat")
    csv = {"ratings.csv": "userId,movieId,rating,timestamp\n", "movies.csv": "movieId,title\n"}
    ingest(tmp_path / "w", write_folder(tmp_path / "csv", csv), run_id="csv")
    assert open_run(Warehouse(tmp_path / "w"), "csv").record("ingest")["files"] == 2


def test_a_failed_ingest_changes_nothing(tmp_path: Path):
    warehouse, whole = tmp_path / "w", write_zip(tmp_path / "ml-1m.zip", FILES)
    ingest(warehouse, whole)
    before = content_of(warehouse)
    truncated = tmp_path / "short.zip"
    truncated.write_bytes(whole.read_bytes()[:-10])
    (orders := tmp_path / "orders.csv").write_text("user,item\n1,10\n2,10\n")
    ones = ["--dataset", "shop", "--set", "score.challenger=rating/1"]
    attempts: list[tuple[Path | str | None, list[str], str]] = [
        (truncated, [], r"short\.zip is truncated or damaged"),
        (write_zip(tmp_path / "r.zip", without("movies.dat")), [], r"movies\.dat is missing"),
        (tmp_path / "no.zip", [], r"no\.zip does not exist"),
        ("hdfs://host/ml-1m.zip", [], r"hdfs://host/ml-1m\.zip does not exist"),
        ("s3://key:hidden@b/r.zip", [], r"ingest\.source holds credentials(?!.*hidden)"),
        (whole, ["--set", "score.top=5"], r"unknown key score\.top"),
        (whole, ["--set", "ingest.max_unpacked_gib=1e-8"], "holds more than"),
        (orders, ones, "rating/1, and run a has no ratings to predict: name a version of order"),
        (None, ["--source", str(whole)], "ingest.dataset is sample, which is generated"),
    ]
    for source, more, sentence in attempts:
        with pytest.raises(JobError, match=sentence):
            ingest(warehouse, source, *more)
        assert content_of(warehouse) == before


def test_a_run_made_again_keeps_its_champion(tmp_path: Path):
    warehouse, source = tmp_path / "w", write_folder(tmp_path / "ml-1m", FILES)
    ingest(warehouse, source)
    file = warehouse / "runs" / "a" / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"champion": "7"}))
    ingest(warehouse, source, "--set", "train.matrix_factorisation.epochs=2")
    assert open_run(Warehouse(warehouse), "a").champion == "7"
    assert open_run(Warehouse(warehouse), "a").conf.train.of("matrix_factorisation")["epochs"] == 2
    # Other content is another run, even under the same name.
    (source / "README").write_text("Changed.\n")
    ingest(warehouse, source)
    assert open_run(Warehouse(warehouse), "a").champion is None


def test_who_asked_to_be_forgotten_is_left_out(tmp_path: Path, capsys, monkeypatch):
    """Of ratings, profiles and lists; other files, which may tell of anybody, are not kept."""
    warehouse = Warehouse(tmp_path / "w")
    add_erased(warehouse, "ml-1m", ["2", "99"])
    source = write_folder(tmp_path / "ml-1m", FILES | {"tags.dat": "2::10::mine\n"})
    (tmp_path / "lists.csv").write_text("user_id,movie_id\n1,10\n2,10\n")
    ingest(warehouse.folder, source, "--set", f"score.candidates={tmp_path / 'lists.csv'}")
    run = open_run(warehouse, "a")
    assert sorted(file.name for file in run.raw.iterdir()) == [
        *("README", "manifest.json", "movies.dat", "ratings.dat", "users.dat"),
    ]
    assert (run.raw / "ratings.dat").read_text() == "1::10::5::978300000\n1::20::3::978300001\n"
    assert (run.raw / "users.dat").read_text() == "1::F::1::10::48067\n"
    assert is_whole(run.raw)
    figures = run.record("ingest")
    told = {name: figures[name] for name in ("files", "erased_lines", "erased_files", "candidates")}
    assert told == {"files": 4, "erased_lines": 3, "erased_files": 1, "candidates": 1}
    assert "forgotten: 3 lines, and 1 files that nobody reads" in capsys.readouterr().out
    # The source is as it was, and so are other releases.
    assert (source / "users.dat").read_text() == FILES["users.dat"]
    # A download holds everybody.
    warehouse.downloads.mkdir()
    fetched = write_zip(warehouse.downloads / "ml-1m.zip", FILES)
    monkeypatch.setattr(obtain, "fetch", lambda *_: fetched)
    ingest(warehouse.folder, "https://example.org/ml-1m.zip", run_id="fetched")
    assert open_run(warehouse, "fetched").digest == run.digest
    assert not fetched.exists()


def test_who_asks_while_it_is_delivered_is_not_kept(tmp_path: Path, monkeypatch):
    """erase looks through raw/ when they are listed: nothing that names them may come behind."""
    warehouse, source = Warehouse(tmp_path / "w"), write_folder(tmp_path / "ml-1m", FILES)

    def late(delivery):
        add_erased(warehouse, "ml-1m", ["2"])
        return describe(delivery)

    with monkeypatch.context() as patch:
        patch.setattr("jobs.ingest.describe", late)
        with pytest.raises(JobError, match="asked to be forgotten while this was being delivered"):
            ingest(warehouse.folder, source)
    assert [path.name for path in warehouse.deliveries("ml-1m").iterdir()] == [".lock"]
    assert not warehouse.run_ids()
    ingest(warehouse.folder, source)
    assert open_run(warehouse, "a").record("ingest")["erased_lines"] == 3


def test_two_attempts_at_once_do_not_touch_one_another(tmp_path: Path):
    """As when a scheduler dies, and its successor starts the task again."""
    staging = tmp_path / "w/staging/a"
    with incoming_folder(staging) as first:
        (first / "ratings.dat").write_text("1::2")
        ingest(tmp_path / "w", write_folder(tmp_path / "ml-1m", FILES))
        assert (first / "ratings.dat").read_text() == "1::2"
    assert not staging.exists()


def test_two_runs_of_one_new_delivery_keep_it_once(tmp_path: Path):
    """Both find that it is not there yet; the slower of the two comes to its place second."""
    first, second = (write_folder(tmp_path / name, FILES) for name in ("a", "b"))
    raw = tmp_path / "raw" / digest_of(describe(first))
    for delivery in (first, second):
        (delivery / "manifest.json").write_text(delivery.name)
    with ThreadPoolExecutor(2) as two:
        list(two.map(lambda delivery: keep(delivery, raw), (first, second)))
    assert {path.name for path in raw.iterdir()} == {*FILES, "manifest.json"}
    assert is_whole(raw)
    # The run that came second has its scratch removed, and nothing else.
    assert first.exists() != second.exists()


def test_what_was_changed_in_raw_is_found_and_mended(tmp_path: Path, capfd):
    warehouse, source = tmp_path / "w", write_zip(tmp_path / "ml-1m.zip", FILES)
    ingest(warehouse, source)
    run = open_run(Warehouse(warehouse), "a")
    (run.raw / "ratings.dat").write_text(FILES["ratings.dat"].replace("::5::", "::1::"))
    with pytest.raises(JobError, match=rf"{run.raw} does not hold what was delivered"):
        etl.main(["--warehouse", str(warehouse), "--run-id", "a"])
    ingest(warehouse, source, run_id="b")
    assert open_run(Warehouse(warehouse), "b").raw == run.raw
    assert {name: (run.raw / name).read_text() for name in FILES} == FILES
    assert f"{run.raw} did not hold what was delivered, and is replaced" in capfd.readouterr().out
    assert [path.name for path in run.raw.parent.glob("*")] == [".lock", run.digest]
    (run.raw / "README").unlink()
    with pytest.raises(JobError, match="or is missing"):
        etl.main(["--warehouse", str(warehouse), "--run-id", "b"])


@only_root_is_two_users
@pytest.mark.parametrize("packed", ["folder", "flat zip", "sample"])
def test_whoever_may_read_the_warehouse_may_read_deliveries(packed: str):
    """Executors of a cluster may be another user's. pytest's own folders are for one user alone."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder, source = Path(name), None
        folder.chmod(0o755)
        if packed == "folder":
            source = write_folder(folder / "ml-1m", FILES)
        elif packed == "flat zip":
            source = folder / "flat.zip"
            with zipfile.ZipFile(source, "w") as archive:
                for file, content in FILES.items():
                    archive.writestr(file, content)
        ingest(folder / "w", source)
        ratings = open_run(Warehouse(folder / "w"), "a").raw / "ratings.dat"
        assert as_nobody(lambda: len(ratings.read_text())) == str(len(ratings.read_text()))


RUN = """
import sys, time
from pathlib import Path
from jobs.ingest import main
from jobs.release import obtain

unpack = obtain.take_over

def late(*arguments):
    # Between having the file and opening it.
    while not Path(sys.argv[2]).exists():
        time.sleep(0.05)
    unpack(*arguments)

obtain.take_over = late
main(["--warehouse", sys.argv[1], "--run-id", sys.argv[4], "--dataset", "ml-1m", "--source",
      sys.argv[3]])
"""


def test_two_addresses_that_end_alike_are_not_mixed_up(tmp_path: Path, monkeypatch):
    """Run b fetches its zip while run a has fetched its own and not yet unpacked it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_zip(tmp_path / name / "ml-1m.zip", FILES | {"README": name})
    serve = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        runs = []
        go = tmp_path / "go"
        for name, until in (("a", go), ("b", tmp_path)):
            address = f"http://127.0.0.1:{server.server_port}/{name}/ml-1m.zip"
            command = [sys.executable, "-c", RUN, str(tmp_path / "w"), str(until), address, name]
            runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            while name == "a" and not (tmp_path / "w/downloads/ml-1m.zip").exists():
                assert runs[0].poll() is None
                time.sleep(0.05)
        assert runs[1].stdout is not None
        held = f"is held by process {runs[0].pid} on"
        assert any(held in line for line in runs[1].stdout)
        go.touch()
        told = [run.communicate()[0] for run in runs]
        server.shutdown()
    assert [run.returncode for run in runs] == [0, 0], told
    for name in ("a", "b"):
        assert (open_run(Warehouse(tmp_path / "w"), name).raw / "README").read_text() == name


def test_a_source_is_remembered_as_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # A name that YAML would take for a number.
    source = write_folder(tmp_path / "2026", FILES)
    monkeypatch.chdir(tmp_path)
    ingest(tmp_path / "w", "2026")
    assert open_run(Warehouse(tmp_path / "w"), "a").conf.ingest.source == str(source)


def test_without_a_network_both_other_ways_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("jobs.release.obtain.GROUPLENS", nobody)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(JobError) as error:
        ingest(tmp_path / "w", None, "--dataset", "ml-1m")
    assert "ml-1m.zip could not be downloaded: the server cannot be reached" in str(error.value)
    assert "make nightly DATASET=ml-1m SOURCE=path/to/ml-1m.zip\n" in str(error.value)
    assert str(error.value).endswith("make nightly")


def test_the_built_in_sample_needs_no_source(tmp_path: Path):
    ingest(tmp_path / "w", None)
    run = open_run(Warehouse(tmp_path / "w"), "a")
    assert run.release == "sample"
    assert sorted(path.name for path in run.raw.iterdir()) == sorted([*FILES, "manifest.json"])


def test_a_date_must_be_a_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--warehouse", str(tmp_path), "--ds", "23.11.2026"])
    assert "--ds: expected YYYY-MM-DD, found '23.11.2026'" in capsys.readouterr().err
