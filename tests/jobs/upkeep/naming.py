"""Whether anything below a folder still names somebody: looked at in another way than erase's."""

import re
from pathlib import Path

import duckdb
import numpy as np


def naming(folder: Path, user: str, number: int | None = None) -> list[str]:
    """The files below a folder that name a user, sorted; the list of who was erased is none.

    `user` is looked for in all texts, in the columns of Parquet and elsewhere, `number` in all
    columns of users and in the users of models.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(
        path.relative_to(folder).as_posix()
        for path in files
        if path.parent != folder / "erased" and names(path, user, number)
    )


def names(file: Path, user: str, number: int | None) -> bool:
    word = rf"(^|[^A-Za-z0-9_-]){re.escape(user)}([^A-Za-z0-9_-]|$)"
    if file.suffix == ".parquet":
        rows = duckdb.read_parquet(str(file), hive_partitioning=False)
        found = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
        return any(
            re.search(word, str(row)) or (number is not None and row.get("user_id") == number)
            for row in found
        )
    if file.suffix == ".npy":
        return file.name == "user_ids_U.npy" and number in np.load(file)
    if file.suffix in (".zip", ".db"):
        return user.encode() in file.read_bytes()
    return re.search(word, file.read_bytes().decode("latin-1")) is not None
