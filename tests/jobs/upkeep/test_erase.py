"""Users who ask to be forgotten: taken out of all that a warehouse holds, and not brought back."""

import fcntl
import shutil
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import psycopg
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from jobs.engines.duck import open_tables, write_few_rows
from jobs.publish import refuse_erased
from jobs.published import audit
from jobs.published.commit import commit_alone
from jobs.published.delta import file_paths, publish_files
from jobs.published.views import connect
from jobs.published.whole import publishing
from jobs.release.raw import describe, digest_of, keep
from jobs.runs import schemas
from jobs.runs.erased import add_erased, erased_users
from jobs.runs.errors import JobError
from jobs.runs.files import if_free, read_json, write_json
from jobs.runs.run import open_run
from jobs.runs.settings.delivery import ColumnSettings
from jobs.runs.warehouse import Warehouse
from jobs.upkeep import erase, erased_runs, erased_tables, forget
from jobs.upkeep.erased_runs import empty_run, runs_of
from jobs.upkeep.traces import People
from tests.jobs.examples import write
from tests.jobs.published.small_publish import made, publish
from tests.jobs.upkeep.naming import naming

RELEASE = "mine"
# Of each kind of ids: who goes, and who is called almost alike and stays; their numbers.
KINDS = {"text": (("u-1", -1), ("u-10", -2)), "number": (("17", 17), ("170", 170))}


def deliver(warehouse: Warehouse, users: list[str], more: str = "") -> str:
    """A delivery in raw/, as ingest leaves it; its digest."""
    folder = warehouse.staging("x") / "files"
    folder.mkdir(parents=True)
    lines = "".join(f"{user},10,5\n" for user in users)
    (folder / "ratings.csv").write_text(f"user,movie,rating\n{lines}{more}")
    files = describe(folder)
    told = {"ingested_at": f"2026-01-0{len(more) + 1}", "source": "https://x/orders.zip"}
    write_json(folder / "manifest.json", told | {"files": files})
    keep(folder, warehouse.raw(RELEASE, digest_of(files)))
    return digest_of(files)


def night(warehouse: Warehouse, kind: str, run_id: str, hour: int):
    """A published run of both users, and a rule that shows a row of each."""
    people = KINDS[kind]
    digest = deliver(warehouse, [user for user, _ in people], "\n" * hour)
    run = made(warehouse.folder, run_id, f"2026-01-0{2 + hour}", hour=hour)
    ingest = run.conf.ingest.model_copy(update={"dataset": RELEASE, "source": "x"})
    conf = run.conf.model_copy(update={"ingest": ingest})
    run = replace(run, release=RELEASE, digest=digest, conf=conf)
    run.save()
    sources = [user if kind == "text" else None for user, _ in people]
    rows: dict[str, list[tuple]] = {
        "users": [
            (n, None, None, None, None, s) for (_, n), s in zip(people, sources, strict=True)
        ],
        "ratings": [(n, 10, 3.0, None, "train") for _, n in people],
        "quarantine": [("ratings.csv", 9, "bad", f"{user},,5") for user, _ in people],
    }
    for name, values in rows.items():
        partition = {"run_id": run_id} if name == "quarantine" else {}
        write(run.output(name), schemas.PUBLISHED[name][0], partition, values)
    lists = [
        (n, 1, 10, "Ten", 4.0, "model", "1", run_id, 4.0, None, None, None, None, s)
        for (_, n), s in zip(people, sources, strict=True)
    ]
    partition = {"ds": run.ds.isoformat()}
    write(run.output("scored"), schemas.RECOMMENDATIONS, partition, lists)
    (run.output("factors")).mkdir()
    np.save(run.output("factors") / "user_ids_U.npy", [n for _, n in people])
    run.output("report.html").write_text(f"User {people[0][0]}: recommended")
    example = "; ".join(f"user_id {user}, movie_id 10" for user, _ in people)
    found = (run_id, run.ds, "ratings off the scale", 2, 0, False, example)
    write_few_rows(run.output("quality"), "quality", [found])
    publish(run)
    shadow = warehouse.table("recommendations_shadow")
    ddl, by_date = schemas.PUBLISHED["recommendations_shadow"]
    publish_files(shadow, run.output("scored"), schemas.in_json(ddl), by_date, partition, {})
    commit_alone(run, "quality")
    write_json(run.record_file("publish"), {"rows": 2})
    return run


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """The folder of a warehouse of a kind, for who does not change it."""

    @cache
    def of(kind: str) -> Path:
        return make(Warehouse(tmp_path_factory.mktemp(kind) / "w"), kind).folder

    return of


@pytest.fixture
def warehouse(tmp_path, kind, made_once) -> Warehouse:
    shutil.copytree(made_once(kind), tmp_path / "w")
    return Warehouse(tmp_path / "w")


def make(warehouse: Warehouse, kind: str) -> Warehouse:
    """Two nights of a release, and one of another release with a user of the same number."""
    if kind == "text":
        ids = [(number, user) for user, number in KINDS[kind]]
        write(warehouse.source_ids(RELEASE, "user"), schemas.SOURCE_IDS, {}, ids)
    other = made(warehouse.folder, "other", "2026-01-01")
    row = (KINDS[kind][0][1], 1, 10, "Ten", 4.0, "model", "1", "other", 4.0)
    write(other.output("scored"), schemas.RECOMMENDATIONS, {"ds": "2026-01-01"}, [row])
    publish(other)
    for hour, run_id in enumerate(["first", "second"], 1):
        night(warehouse, kind, run_id, hour)
    warehouse.downloads.mkdir()
    (warehouse.downloads / "orders.zip").write_text(KINDS[kind][0][0])
    return warehouse


@pytest.fixture
def call(warehouse, capsys):
    def called(*argv: str) -> str:
        erase.main(["--warehouse", str(warehouse), "--release", RELEASE, *argv])
        return capsys.readouterr().out

    return called


def left(warehouse: Warehouse, kind: str, who: int = 0) -> list[str]:
    """What still names who was erased; numbers in files of the other release are another user's."""
    user, number = KINDS[kind][who]
    found = naming(warehouse.folder, user, number)
    if kind == "number":
        # Texts hold such a number for many reasons; those of deliveries and pages do not.
        found = [name for name in found if Path(name).suffix not in (".json", ".lock")]
        found = [name for name in found if ".lock" not in name]
    others = {"runs/other", "tables/recommendations/ds=2026-01-01"}
    return [name for name in found if not any(name.startswith(other) for other in others)]


def test_one_user_is_gone_from_every_table_and_file(call, warehouse, kind):
    user, _ = KINDS[kind][0]
    assert len(left(warehouse, kind)) > 15
    printed = call("--user", user)
    assert printed.endswith("Nothing was changed: this was a dry run. To erase them: --apply\n")
    for told in ("rows of table recommendations", "what run second has kept"):
        assert told in printed
    assert len(left(warehouse, kind)) > 15
    call("--user", user, "--apply")
    assert left(warehouse, kind) == []
    assert erased_users(warehouse, RELEASE) == {user}
    assert warehouse.erased(RELEASE).stat().st_mode & 0o777 == 0o600
    # Others stay where they were, and who is called alike.
    _, stays = KINDS[kind][1]
    counts = {"users": 1, "ratings": 1, "recommendations": 2, "quarantine": 2}
    counts["recommendations_shadow"] = 2
    with connect(warehouse) as tables:
        for name, rows in counts.items():
            query = f"select count(*) from {name}"
            if name != "quarantine":
                query += f" where user_id = {stays}"
            elif kind == "text":
                query += " where content like 'u-10,%'"
            else:
                query += " where content like '170,%'"
            assert tables.sql(query).fetchall() == [(rows,)], name
        assert tables.sql("select count(*), count(example) from quality").fetchall() == [(2, 0)]
        assert tables.sql("select count(*) from recommendations").fetchall() == [(3,)]
    # As publish writes them: delta-rs writes texts that pyarrow does not know.
    for name in erased_tables.NAMING:
        for file in file_paths(DeltaTable(warehouse.table(name))):
            kinds = pq.read_schema(file).types
            assert not {"large_string", "string_view"} & set(map(str, kinds)), name
    for raw in warehouse.deliveries(RELEASE).glob("[!.]*"):
        assert (
            raw / "ratings.csv"
        ).read_text().strip() == f"user,movie,rating\n{KINDS[kind][1][0]},10,5"
        assert digest_of(describe(raw)) == raw.name


def test_a_number_stays_taken(call, warehouse, kind):
    call("--user", KINDS[kind][0][0], "--apply")
    if kind == "text":
        with open_tables({}) as tables:
            files = str(warehouse.source_ids(RELEASE, "user") / "*.parquet")
            rows = tables.sql(f"from read_parquet('{files}') order by id").fetchall()
        assert rows == [(-2, "u-10"), (-1, None)]


def test_runs_say_what_is_gone(call, warehouse, kind):
    """A published run keeps its records; one that had not published has to be started again."""
    (warehouse.record_file("second", "publish")).unlink()
    printed = call("--user", KINDS[kind][0][0], "--apply")
    assert "the data of run first is gone\n" in printed
    assert "the data of run second is gone, which had not published: start it again" in printed
    assert read_json(warehouse.record_file("first", "publish")) == {"rows": 2}
    assert open_run(warehouse, "second").finished("plan") is None
    assert not open_run(warehouse, "first").data("ratings").exists()


def test_earlier_versions_cannot_be_read_any_more(call, warehouse, kind):
    call("--user", KINDS[kind][0][0], "--apply")
    with pytest.raises(JobError, match="cannot be read: 1 of its 2 files are gone"):
        connect(warehouse, ("recommendations",), at=1)


def test_earlier_versions_of_other_releases_stay(call, warehouse, kind):
    """The same number is another user there, also in versions that are no reader's any more."""
    (user, number), _ = KINDS[kind]
    for hour in (5, 6):
        run = made(warehouse.folder, "again", "2026-01-08", hour=hour)
        write(run.output("users"), schemas.USERS, {}, [(number,)])
        write(run.output("ratings"), schemas.RATINGS, {}, [(number, 10, 3.0, None, "train")])
        row = (number, 1, 10, "Ten", 4.0, "model", "1", "again", 4.0)
        write(run.output("scored"), schemas.RECOMMENDATIONS, {"ds": "2026-01-08"}, [row])
        publish(run)
    names = {"users": None, "ratings": None, "recommendations": "ds = '2026-01-08'"}
    tables = {name: DeltaTable(warehouse.table(name)) for name in names}
    now = {name: file_paths(table, names[name]) for name, table in tables.items()}
    for table in tables.values():
        table.load_as_version(table.version() - 1)
    before = {name: file_paths(table, names[name]) for name, table in tables.items()}
    call("--user", user, "--apply")
    for name in names:
        assert len({*now[name], *before[name]}) == 2
        assert all(Path(file).is_file() for file in now[name] + before[name]), name
    with connect(warehouse) as shown:
        query = f"select run_id from recommendations where user_id = {number} order by ds"
        assert shown.sql(query).fetchall() == [("other",), ("again",)]
        assert shown.sql("select user_id from users").fetchall() == [(number,)]


@pytest.mark.parametrize("kind", ["text"], indirect=True)
def test_two_are_erased_one_after_the_other_though_another_release_published_last(
    call, warehouse, kind
):
    """What stood in files that were written anew for the first of them goes with the second."""
    run = made(warehouse.folder, "last", "2026-01-09", hour=9)
    row = (99, 1, 10, "Ten", 4.0, "model", "1", "last", 4.0)
    write(run.output("scored"), schemas.RECOMMENDATIONS, {"ds": "2026-01-09"}, [row])
    publish(run)
    for who in (0, 1):
        call("--user", KINDS[kind][who][0], "--apply")
    assert left(warehouse, kind, who=1) == []


@pytest.mark.parametrize("kind", ["text"], indirect=True)
def test_deliveries_are_read_as_their_runs_were_told(call, warehouse, tmp_path):
    """Also what was kept again, and where its run has been cleared up."""
    columns = ColumnSettings(user="buyer", movie="thing", rating="stars")
    for lines in ("", "\n"):
        folder = warehouse.staging("x") / "files"
        folder.mkdir(parents=True)
        rows = "".join(f"{n},{user},5\n" for n, user in enumerate(("u-1", "u-10", "u-2"), 1))
        (folder / "ratings.csv").write_text(f"thing,buyer,stars\n{rows}{lines}")
        digest = digest_of(describe(folder))
        write_json(folder / "manifest.json", {"ingested_at": "2026", "files": describe(folder)})
        keep(folder, warehouse.raw(RELEASE, digest))
        run = open_run(warehouse, "second")
        ingest = run.conf.ingest.model_copy(update={"columns": columns})
        conf = run.conf.model_copy(update={"ingest": ingest})
        run = replace(run, run_id=f"told{len(lines)}", digest=digest, conf=conf)
        run.save()
    # Today's settings, of whoever scores the same data, are another matter.
    replace(open_run(warehouse, "second"), run_id="z", digest=digest, data_run="told1").save()
    call("--user", "u-1", "--apply")
    # Nothing in them names who is gone: they go on with what their delivery is now.
    assert all(open_run(warehouse, f"told{n}").raw.is_dir() for n in (0, 1))
    shutil.rmtree(warehouse.run("told0"))
    call("--user", "u-10", "--apply")
    kept = {file.read_text() for file in warehouse.deliveries(RELEASE).rglob("ratings.csv")}
    told = "thing,buyer,stars\n3,u-2,5\n"
    assert kept == {told, f"{told}\n", *(f"user,movie,rating\n{end}" for end in ("\n", "\n\n"))}
    # Where nobody knows any more, nothing is changed.
    for file in warehouse.deliveries(RELEASE).glob("*/manifest.json"):
        write_json(file, {"ingested_at": "2026"})
    shutil.rmtree(warehouse.run("told1"))
    with pytest.raises(JobError, match=r"may name who is to be erased, and cannot .* conf"):
        call("--user", "u-2", "--apply")
    assert erased_users(warehouse, RELEASE) == {"u-1", "u-10"}


@pytest.mark.parametrize("kind", ["text"], indirect=True)
def test_runs_of_an_older_nightreel_are_erased_from_too(call, warehouse, kind):
    for run_id in ("first", "second"):
        told = read_json(warehouse.run_file(run_id)) or {}
        told["conf"] |= {"gone": {}, "score": {}}
        write_json(warehouse.run_file(run_id), told)
    call("--user", "u-1", "--apply")
    assert left(warehouse, kind) == []


@pytest.mark.parametrize("kind", ["text"], indirect=True)
def test_who_is_in_postgresql_yet_is_found_again(call, warehouse, kind, monkeypatch):
    class Down:
        def transaction(self):
            raise psycopg.OperationalError("the server has gone away")

    monkeypatch.setenv("NIGHTREEL_POSTGRESQL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(JobError, match="PostgreSQL"):
        call("--user", "u-1", "--apply")
    # It was not there, and nothing was changed.
    assert erased_users(warehouse, RELEASE) == set()
    with monkeypatch.context() as patch:
        patch.setattr(erase, "require_usable", lambda dsn: None)
        patch.setattr(erase, "connection_to", lambda dsn: nullcontext(Down()))
        with pytest.raises(JobError, match=r"still holds who was erased: .* erase again"):
            call("--user", "u-1", "--apply")
    assert People.of(warehouse, RELEASE, ["u-1"]).numbers == {-1}
    monkeypatch.delenv("NIGHTREEL_POSTGRESQL")
    call("--apply")
    assert left(warehouse, kind) == []


@pytest.mark.parametrize("kind", ["text"], indirect=True)
def test_a_date_whose_earlier_tables_are_gone_is_not_forgotten(call, warehouse):
    call("--user", "u-1", "--apply")
    told = ["--warehouse", str(warehouse), "--ds", "2026-01-04"]
    for argv in (told, [*told, "--apply"]):
        with pytest.raises(JobError, match=r"ratings would go back to version 1, .* 1 of 1 files"):
            forget.main(argv)
    # As it says: a night that has published since stands for itself.
    publish(made(warehouse.folder, "next", "2026-01-05", hour=9))
    forget.main([*told, "--apply"])
    with connect(warehouse) as tables:
        assert tables.sql("select count(*) from runs where run_id = 'second'").fetchall() == [(0,)]


@pytest.mark.parametrize("kind", ["text"], indirect=True)
def test_downloads_go_unless_they_are_another_releases(call, warehouse):
    """One that was refused is in no manifest."""
    theirs = warehouse.raw("theirs", "digest") / "manifest.json"
    write_json(theirs, {"ingested_at": "2026", "source": "s3://x/theirs.zip"})
    names = ("refused.csv", "part.zip.part", "part.zip.part.json", "theirs.zip", "ml-1m.zip.part")
    for name in names:
        (warehouse.downloads / name).write_text("u-1")
    call("--user", "u-1", "--apply")
    found = {file.name for file in warehouse.downloads.glob("[!.]*")}
    assert found == {"theirs.zip", "ml-1m.zip.part"}


class Stopped(BaseException):
    """As a kill, after which nothing of the process goes on."""


PLACES = [(erased_tables, "sync_commit", n) for n in (0, 2, 4)]
PLACES += [(erased_tables, "decide", 0), (erase, "remove_earlier", 0)]
PLACES += [(erased_tables, "clean_log", n) for n in (0, 2)]
STEPS = ("remove_downloads", "keep_without", "erase_from_copies", "take_names")
PLACES += [(erase, name, 0) for name in STEPS]
PLACES += [(erase, "empty_run", n) for n in range(2)]


@pytest.mark.parametrize("kind", ["text"], indirect=True)
@pytest.mark.parametrize(("module", "name", "calls"), PLACES)
def test_who_is_stopped_goes_on(call, warehouse, kind, monkeypatch, module, name, calls):
    """Readers see all tables with the user or none, and a second attempt completes it."""
    real = getattr(module, name)
    done: list[None] = []

    def stopping(*arguments):
        if len(done) == calls:
            raise Stopped
        done.append(None)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, stopping)
        with pytest.raises(Stopped):
            call("--user", "u-1", "--apply")
    with publishing(warehouse), connect(warehouse) as tables:
        counts = tables.sql(
            "select (select count(*) from users), (select count(*) from ratings), "
            "(select count(*) from recommendations where user_id = -1 and run_id <> 'other')"
        ).fetchall()
    assert counts in ([(2, 2, 2)], [(1, 1, 0)])
    call("--apply")
    assert left(warehouse, kind) == []


@pytest.mark.parametrize("kind", ["text"], indirect=True)
def test_who_is_not_known_is_listed_all_the_same(call, warehouse):
    assert "No table, run or model of release mine names u-9" in call("--user", "u-9", "--apply")
    assert erased_users(warehouse, RELEASE) == {"u-9"}
    with pytest.raises(JobError, match="Nothing of a release 'other' is in "):
        erase.main(["--warehouse", str(warehouse), "--release", "other", "--user", "u-1"])
    with pytest.raises(JobError, match="--user 'u\\\\n1': no id holds such characters"):
        call("--user", "u\n1", "--apply")


@pytest.mark.parametrize("kind", ["text"], indirect=True)
def test_runs_at_work_are_waited_for(call, warehouse):
    with if_free(warehouse.run("second") / ".lock") as free:
        assert free
        with pytest.raises(JobError, match="Run second is at work"):
            call("--user", "u-1", "--apply")
    assert erased_users(warehouse, RELEASE) == set()


@pytest.mark.parametrize("kind", ["text"], indirect=True)
def test_who_only_looks_at_a_lock_is_no_work(warehouse, monkeypatch):
    [run] = [run for run in runs_of(warehouse, RELEASE) if run.run_id == "second"]
    people = People.of(warehouse, RELEASE, ["u-1"])
    lock = run.folder / ".lock"
    looked: list[Path] = []

    @contextmanager
    def looked_at(file):
        """At first by somebody else, for a moment."""
        with file.open("a+") as other:
            if not looked:
                fcntl.flock(other, fcntl.LOCK_SH)
            looked.append(file)
            with if_free(file) as free:
                yield free

    monkeypatch.setattr(erased_runs, "if_free", looked_at)
    empty_run(run, people)
    assert looked == [lock, lock]
    assert not (run.folder / "users").exists()
    for name in (".lock", ".lock-report"):
        with if_free(run.folder / name), pytest.raises(JobError, match="Run second is at work"):
            empty_run(run, people)


def test_a_text_is_itself_in_a_pattern():
    ids = ["<b>", "a.b", 'x"y', "c\\d", "p-q&r~s#t", "(é)", "[1", "a|b", "{2}", "^$*+?", "%_'"]
    quoting, others = [f"line,{each},5" for each in ids], ["line,b,5", "line,aXb,5", "line,a,5"]
    people = People(frozenset(ids), frozenset())
    where = people.named_in({"content": "VARCHAR"})
    query = f"select content from (select unnest(?) as content) where {where}"
    found = duckdb.execute(query, [quoting + others]).fetchall()
    assert found == [(text,) for text in quoting]


@pytest.mark.parametrize("kind", ["text"], indirect=True)
def test_lines_of_the_log_that_a_checkpoint_sums_up_are_cleaned_too(call, warehouse, kind):
    for name in erased_tables.NAMING:
        DeltaTable(warehouse.table(name)).create_checkpoint()
    call("--user", "u-1", "--apply")
    assert left(warehouse, kind) == []
    with connect(warehouse) as tables:
        assert tables.sql("select count(*) from recommendations").fetchall() == [(3,)]
    assert DeltaTable(warehouse.table("users")).count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_published_that_names_who_was_erased(tmp_path, kind):
    (user, number), (other, _) = KINDS[kind]
    source = user if kind == "text" else None
    write(tmp_path / "users", schemas.USERS, {}, [(number, None, None, None, None, source)])
    with open_tables({"users": tmp_path / "users"}) as tables:
        audit.require_nobody_erased(tables, [other])
        with pytest.raises(JobError, match="nothing was published: 1 users of the run's data"):
            audit.require_nobody_erased(tables, [user, other])
    # Nor does what could not be used of them.
    warehouse = Warehouse(tmp_path / "w")
    run = night(make(warehouse, kind), kind, "third", 3)
    write(run.output("users"), schemas.USERS, {}, [])
    add_erased(warehouse, RELEASE, [user])
    with pytest.raises(JobError, match=r"0 users .* 1 lines in quarantine are theirs"):
        refuse_erased(run)


def test_the_list_is_only_added_to(tmp_path):
    warehouse = Warehouse(tmp_path)
    assert erased_users(warehouse, RELEASE) == set()
    add_erased(warehouse, RELEASE, ["b c", "a"])
    add_erased(warehouse, RELEASE, ["a", "é"])
    assert warehouse.erased(RELEASE).read_text("utf-8") == "a\nb c\né\n"
    assert erased_users(warehouse, RELEASE) == {"a", "b c", "é"}
