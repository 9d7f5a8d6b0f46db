"""A user's rows lie together, and readers open the one file that may hold them."""

import duckdb
import pyarrow.parquet as pq
from deltalake import DeltaTable

from jobs.published.delta import file_paths, publish_files
from jobs.published.others import write_by_user
from jobs.published.views import view_of
from jobs.runs.schemas import RECOMMENDATIONS, in_json

USERS, TOP_K = 30_000, 20


def test_a_question_about_one_user_reads_one_row_group(tmp_path):
    tables = duckdb.connect()
    rows = f"""
        select 1 + n // {TOP_K} as user_id, 1 + n % {TOP_K} as rank, hash(n) % 1000 as movie_id,
            'title' as title, 4 as predicted_rating, 'model' as source, '1' as model_version,
            'run' as run_id, 4 as ranking_score, null as order_version, null as rating_sd,
            null as because_movie_id, null as because_share, null as source_user_id,
            null as source_movie_id, null as source_because_id, 'champion' as variant
        from range({USERS * TOP_K}) numbers(n) order by movie_id
    """
    write_by_user(tables, rows, tmp_path / "scored" / "ds=2026-11-23")
    ddl = in_json(RECOMMENDATIONS)
    replaced = {"ds": "2026-11-23"}
    publish_files(tmp_path / "table", tmp_path / "scored", ddl, ["ds"], replaced, {})
    table = DeltaTable(tmp_path / "table")
    where = "ds = '2026-11-23' and user_id = 7777"
    [file] = file_paths(table, where)
    footer = pq.read_metadata(file)
    bounds = [footer.row_group(i).column(0).statistics for i in range(footer.num_row_groups)]
    assert len(bounds) > 1
    assert sum(group.min <= 7777 <= group.max for group in bounds) == 1
    view = view_of(duckdb.connect(), table, where=where)
    query = f"select rank from ({view}) where {where} order by 1"
    found = duckdb.execute(query)
    assert found.fetchall() == [(rank,) for rank in range(1, TOP_K + 1)]
    assert file_paths(table, "ds = '2026-11-24'") == []
