"""Movies and users that people name: in files of ids, in lists of candidates, in block lists.

Files are CSV with a header line, or Parquet, with columns of whole numbers. They are looked at when
a run starts, before anything is written, and kept with the run, because the file may be another one
when the run is made again: those of score.candidates as `candidates` in the run's folder. What is
wrong with a file is said without repeating any of it: it may be one that only the workers may read.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from jobs.engines.duck import copy, quoted
from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.files import replacing
from jobs.runs.inputs import refuse_outside
from jobs.runs.run import Run
from jobs.runs.settings.whole import Configuration

COLUMNS = tuple(schemas.columns_of(schemas.CANDIDATES))


class IdFile:
    """The rows of ids in a file, each kept once.

    Raises JobError, with what is wrong and where, if the file cannot be read, lacks one of the
    columns, or holds something that is no id. `setting` is the key in conf that names the file.
    """

    def __init__(self, setting: str, path: str, columns: tuple[str, ...]) -> None:
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
        self.refuse_what_is_no_id()

    def refuse_what_is_no_id(self) -> None:
        for column in self.columns:
            text = f'"{column}"::varchar'
            is_id = f"regexp_full_match({text}, '[0-9]+') and try_cast({text} as int) >= 1"
            wrong = self.connection.execute(
                f"select rowid + 1 from given where not coalesce({is_id}, false) limit 1"
            ).fetchone()
            if wrong:
                raise JobError(
                    f"{self.name}, row {wrong[0]:,}: {column} is no whole number from 1 to "
                    "2,147,483,647."
                )

    def absent(self, column: str, folder: Path) -> list[int]:
        """The ids of a column that the Parquet files of a table do not hold, sorted."""
        files = quoted(str(folder / "*.parquet"))
        found = self.connection.execute(
            f"select distinct {column} from ({self.query}) "
            f"anti join read_parquet({files}) using ({column}) order by 1"
        )
        return [row[0] for row in found.fetchall()]

    @property
    def query(self) -> str:
        """SQL for the rows, sorted."""
        columns = ", ".join(f'"{column}"::int as {column}' for column in self.columns)
        return f"select distinct {columns} from given order by all"

    def rows(self) -> list[tuple[int, ...]]:
        """The rows, sorted."""
        return self.connection.execute(self.query).fetchall()

    def write(self, folder: Path) -> int:
        """Write the rows, sorted, to one Parquet file in `folder`; returns their number."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "part-0.parquet") as temporary:
            return copy(self.connection, self.query, temporary)


def expected(columns: tuple[str, ...]) -> str:
    """What such a file looks like, in words."""
    return f"CSV that begins with the line {','.join(columns)}, or Parquet with these columns"


def given_lists(conf: Configuration) -> IdFile | None:
    """The file that conf names, looked at; None if it names none."""
    if path := conf.score.candidates:
        refuse_outside("score.candidates", path)
        return IdFile("score.candidates", path, COLUMNS)
    return None


def kept_lists(run: Run) -> IdFile | None:
    """The same as a run has kept it."""
    file = run.output("candidates") / "part-0.parquet"
    return IdFile("score.candidates", str(file), COLUMNS) if run.conf.score.candidates else None


def refuse_unknown_candidates(lists: IdFile | None, run: Run) -> None:
    """Raise JobError for users and movies in lists that the run's data does not have."""
    for entity in ("user", "movie") if lists else ():
        assert lists is not None
        if strange := lists.absent(f"{entity}_id", run.data(f"{entity}s")):
            raise JobError(f"score.candidates: {unknown_ids(strange, entity, run.release)}")


def with_blocked(conf: Configuration) -> Configuration:
    """The settings with the blocked movies themselves, where a file of them was named."""
    if not isinstance(conf.score.block_list, str):
        return conf
    refuse_outside("score.block_list", conf.score.block_list)
    file = IdFile("score.block_list", conf.score.block_list, ("movie_id",))
    score = conf.score.model_copy(update={"block_list": [row[0] for row in file.rows()]})
    return conf.model_copy(update={"score": score})


def unknown_ids(ids: list[int], entity: str, release: str) -> str:
    """A sentence about ids that a release does not have."""
    shown = ", ".join(map(str, ids[:5])) + (f" and {len(ids) - 5:,} more" if len(ids) > 5 else "")
    return f"release {release} has no {entity} {shown}."
