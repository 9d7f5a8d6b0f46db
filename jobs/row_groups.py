"""How Spark writes recommendations: a question about one user reads one row group.

`score` writes most files without Spark, to the same end (jobs/scoring.py).
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame

# In bytes, as Parquet's writer estimates them, before it compresses: about 75,000 rows, or 4,000
# users of 20. Smaller groups make a file's footer, which every reader reads first, cost more than
# the rows that they save; larger ones add rows to decode.
ROW_GROUP_BYTES = 2 << 20


def write_by_user(rows: DataFrame, folder: Path) -> None:
    """Write schemas.RECOMMENDATIONS, replacing the folder; `rows` come sorted by user.

    Each of their partitions, best a range of users, becomes a file whose bounds tell readers which
    users it holds; so do its row groups.
    """
    writer = rows.write.mode("overwrite").option("parquet.block.size", ROW_GROUP_BYTES)
    writer.partitionBy("ds").parquet(str(folder))
