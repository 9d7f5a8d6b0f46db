"""List the versions of a published table, newest first.

    nightreel history
    nightreel history --table ratings --limit 50

A version can be read (nightreel sql --at, nightreel recommend --at) and restored (nightreel
restore) until `nightreel cleanup` has removed files of it. Delta Lake forgets versions after 30
days.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deltalake import DeltaTable

from jobs.engines.terminal import show_rows
from jobs.published.delta import Commit, file_paths, files_of, history, open_table
from jobs.runs.command import command_arguments, positive, run_command
from jobs.runs.configuration import warehouse_of
from jobs.runs.schemas import PUBLISHED

HEADERS = ["Version", "Time (UTC)", "Run", "Model version", "Operation", "Rows", "Readable"]


def described(table: DeltaTable, commits: list[Commit]) -> Iterator[tuple]:
    """A row of cells for each version; rows are counted from the log, no data is read."""
    for commit in commits:
        table.load_as_version(commit.version)
        rows = sum(file.rows for file in files_of(table))
        whole = all(Path(file).is_file() for file in file_paths(table))
        at = f"{commit.at:%Y-%m-%d %H:%M:%S}"
        yield commit.version, at, *commit[2:], f"{rows:,}", "yes" if whole else "no"


def main(argv: list[str] | None = None) -> None:
    """`nightreel history`."""
    parser = command_arguments(__doc__)
    parser.add_argument("--table", default="recommendations", choices=PUBLISHED)
    parser.add_argument("--limit", type=positive, default=20, help="most versions (default: 20)")
    arguments = parser.parse_args(argv)
    warehouse = warehouse_of(arguments)
    table = open_table(warehouse, arguments.table)
    commits = history(warehouse.table(arguments.table))
    rows = described(table, commits[: arguments.limit])
    print(f"Versions of {arguments.table}")
    show_rows(HEADERS, list(rows), numbers={"Version", "Rows"})
    if len(commits) > arguments.limit:
        print(f"Only the newest {arguments.limit} of {len(commits)} are shown: --limit shows more.")


if __name__ == "__main__":
    run_command(main)
