"""Movies and users that people name: in files of ids, in lists of candidates, in block lists.

Files are CSV with a header line, or Parquet, with columns of ids as the source writes them. They
are looked at when a run starts, before anything is written, and kept with the run, because the file
may be another one when the run is made again: those of score.candidates as `given_candidates` in
the run's folder, and, once the data is there to tell which numbers they have, as `candidates`. What
is wrong with a file is said without repeating any of it but numbers: it may be one that only the
workers may read.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import duckdb

from jobs.engines.duck import add_view, copy
from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.files import replacing
from jobs.runs.inputs import refuse_outside
from jobs.runs.run import Run
from jobs.runs.settings.whole import Configuration

COLUMNS = tuple(schemas.columns_of(schemas.CANDIDATES))


IS_NUMBER = "regexp_full_match({0}, '[0-9]+') and try_cast({0} as int) >= 1"
# Of these, the number is the source's id itself.
IS_OUR_NUMBER = IS_NUMBER.replace("[0-9]+", "[1-9][0-9]*")
IS_TEXT = "trim({0}) <> ''"


class IdFile:
    """The rows of ids in a file, each kept once.

    Raises JobError, with what is wrong and where, if the file cannot be read, lacks one of the
    columns, or holds something that is no id: where `numbers` is true, anything but whole numbers.
    `setting` is the key in conf that names the file.
    """

    def __init__(
        self, setting: str, path: str, columns: tuple[str, ...], numbers: bool = False
    ) -> None:
        self.connection = duckdb.connect()
        self.columns = columns
        self.name = f"{setting}: {path}"
        if not Path(path).is_file():
            raise JobError(f"{self.name} does not exist, or is no file.")
        parquet = path.endswith(".parquet")
        function = (
            "read_parquet(?)" if parquet else "read_csv(?, header = true, all_varchar = true)"
        )
        try:
            # A temporary table, because a view takes no parameters; it may spill to disk.
            self.connection.execute(f"create temp table given as from {function}", [path])
        except duckdb.Error:
            raise JobError(f"{self.name} cannot be read as {expected(columns)}.") from None
        found = [row[0] for row in self.connection.execute("describe given").fetchall()]
        if missing := [column for column in columns if column not in found]:
            raise JobError(f"{self.name} has no column {missing[0]}. Expected {expected(columns)}.")
        self.refuse_what_is_no_id(numbers)
        self.numbers = numbers or not any(
            self.first_without(column, IS_OUR_NUMBER) for column in columns
        )

    def first_without(self, column: str, what: str) -> int | None:
        """The number of the first row, from 1, for whose id a condition does not hold."""
        holds = what.format(f'"{column}"::varchar')
        wrong = self.connection.execute(
            f"select rowid + 1 from given where not coalesce({holds}, false) limit 1"
        ).fetchone()
        return wrong[0] if wrong else None

    def refuse_what_is_no_id(self, numbers: bool) -> None:
        expected = "no whole number from 1 to 2,147,483,647" if numbers else "empty"
        for column in self.columns:
            if row := self.first_without(column, IS_NUMBER if numbers else IS_TEXT):
                raise JobError(f"{self.name}, row {row:,}: {column} is {expected}.")

    def leave_out(self, users: Collection[str]) -> None:
        """Drop the rows of users, given by their ids as tables call them."""
        wanted = "select unnest(?::varchar[])"
        self.connection.execute(
            f"delete from given where trim(user_id::varchar) in ({wanted})", [sorted(users)]
        )

    def absent(self, column: str, table: str) -> list[str]:
        """The ids of a column that a view of users or movies does not hold, sorted."""
        found = self.connection.execute(
            f"select distinct {column} from ({self.query}) "
            f"anti join ({self.known(column, table)}) using ({column}) order by 1"
        )
        return [str(row[0]) for row in found.fetchall()]

    def known(self, column: str, table: str) -> str:
        """SQL for the ids of a table, as this file would write them, and their numbers."""
        given = column if self.numbers else f"coalesce(source_{column}, {column}::varchar)"
        return f"select {given} as {column}, {column} as number from {table}"

    @property
    def query(self) -> str:
        """SQL for the rows, sorted: numbers where all are ours, else texts."""
        kind = '"{0}"::int' if self.numbers else 'trim("{0}"::varchar)'
        columns = ", ".join(f"{kind.format(column)} as {column}" for column in self.columns)
        return f"select distinct {columns} from given order by all"

    @property
    def by_number(self) -> str:
        """The same with the numbers that views `users` and `movies` give the ids."""
        if self.numbers:
            return self.query
        shown = ", ".join(f"{column}s.number as {column}" for column in self.columns)
        joins = " ".join(
            f"join ({self.known(column, column.removesuffix('_id') + 's')}) {column}s "
            f"using ({column})"
            for column in self.columns
        )
        return f"select {shown} from ({self.query}) {joins} order by all"

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows, sorted."""
        return self.connection.execute(self.query).fetchall()

    def write(self, folder: Path) -> int:
        """Write the rows, sorted, to one Parquet file in `folder`; returns their number."""
        return self.write_query(self.query, folder)

    def write_query(self, query: str, folder: Path) -> int:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "part-0.parquet") as temporary:
            return copy(self.connection, query, temporary)


def expected(columns: tuple[str, ...]) -> str:
    """What such a file looks like, in words."""
    return f"CSV that begins with the line {','.join(columns)}, or Parquet with these columns"


def given_lists(conf: Configuration, numbers: bool) -> IdFile | None:
    """The file that conf names, looked at; None if it names none. `numbers`: as of `IdFile`."""
    if path := conf.score.candidates:
        refuse_outside("score.candidates", path)
        return IdFile("score.candidates", path, COLUMNS, numbers)
    return None


def kept_lists(run: Run) -> IdFile | None:
    """The same as a run has kept it. Raises JobError for a run of before they were kept so."""
    if not run.conf.score.candidates:
        return None
    file = run.output("given_candidates") / "part-0.parquet"
    if not file.is_file():
        raise JobError(
            f"Run {run.run_id} has not kept its lists of candidates. Start it again: nightreel "
            f"ingest --run-id {run.run_id}"
        )
    return IdFile("score.candidates", str(file), COLUMNS)


def require_known(lists: IdFile, run: Run) -> None:
    """Have lists know the run's users and movies; raise JobError for others in them."""
    for entity, ddl in (("user", schemas.USERS), ("movie", schemas.MOVIES)):
        add_view(lists.connection, f"{entity}s", run.data(f"{entity}s"), ddl)
        if strange := lists.absent(f"{entity}_id", f"{entity}s"):
            raise JobError(f"score.candidates: {unknown_ids(strange, entity, run.release)}")


def write_candidates(lists: IdFile, run: Run) -> int:
    """Write `candidates` of a run from lists that know its users and movies; returns the rows."""
    return lists.write_query(lists.by_number, run.output("candidates"))


def with_blocked(conf: Configuration, numbers: bool) -> Configuration:
    """The settings with the blocked movies themselves, where a file of them was named."""
    if not isinstance(conf.score.block_list, str):
        return conf
    refuse_outside("score.block_list", conf.score.block_list)
    file = IdFile("score.block_list", conf.score.block_list, ("movie_id",), numbers)
    score = conf.score.model_copy(update={"block_list": [row[0] for row in file.rows()]})
    return conf.model_copy(update={"score": score})


def unknown_ids(ids: list[str], entity: str, release: str) -> str:
    """A sentence about ids that a release does not have; of those that are numbers, which."""
    shown = [given for given in ids if given.isdigit()][:5]
    if not shown:
        return f"release {release} has none of {len(ids):,} {entity}s that are named there."
    more = len(ids) - len(shown)
    told = ", ".join(shown) + (f" and {more:,} more" if more else "")
    return f"release {release} has no {entity} {told}."
