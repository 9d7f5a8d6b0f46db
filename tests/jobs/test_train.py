"""What the train step checks before the ranks start; the loop is tested in tests/model."""

import pytest

from jobs.errors import JobError
from jobs.train import check_shards


def test_every_rank_needs_a_row_group(tmp_path):
    (tmp_path / "part-0.parquet").touch()
    (tmp_path / "_SUCCESS").touch()
    check_shards(tmp_path, ranks=1)
    with pytest.raises(
        JobError,
        match=r"2 ranks cannot share 1 row groups in .*\. Lower train.ranks or raise etl.min_row_",
    ):
        check_shards(tmp_path, ranks=2)
