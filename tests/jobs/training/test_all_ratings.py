"""All ratings in one folder: the users of a file stay together, whatever their split."""

import pyarrow.parquet as pq
import pytest

from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.training.all_ratings import write_all_ratings
from tests.jobs.examples import small_run, write


def test_files_of_a_name_become_one_of_all_splits(tmp_path):
    run = small_run(tmp_path / "w")
    for split, name, rows in (
        ("train", "part-0.parquet", [(0, 0, 1.0, 7), (2, 1, 2.0, -1)]),
        ("train", "part-1.parquet", [(1, 0, 3.0, 8)]),
        ("validation", "part-0.parquet", [(2, 0, 4.0, 9)]),
        ("test", "part-1.parquet", [(1, 1, 5.0, 10)]),
    ):
        if split == "test":
            with pytest.raises(JobError, match=r"split=test holds no ratings: run etl again\."):
                write_all_ratings(run, tmp_path / "all")
            assert not (tmp_path / "all").exists()
        write(run.output("splits"), schemas.INDEXED_RATINGS, {"split": split}, rows, name)
    # What an attempt that was killed has left.
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "part-9.parquet").touch()
    assert write_all_ratings(run, tmp_path / "all") == 5
    found = {file.name: pq.ParquetFile(file) for file in (tmp_path / "all").iterdir()}
    read = {name: file.read().to_pylist() for name, file in found.items()}
    assert {name: sorted(tuple(row.values()) for row in of) for name, of in read.items()} == {
        "part-0.parquet": [(0, 0, 1.0, 7), (2, 0, 4.0, 9), (2, 1, 2.0, -1)],
        "part-1.parquet": [(1, 0, 3.0, 8), (1, 1, 5.0, 10)],
    }
    assert [file.num_row_groups for file in found.values()] == [1, 1]
