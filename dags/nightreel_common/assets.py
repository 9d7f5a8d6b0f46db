"""What the DAGs tell other DAGs of: `schedule=[RECOMMENDATIONS]` follows the table.

An event carries what its task recorded: a recommendations event `rows_published`, `table_version`,
`model_version` and `test_rmse`; a model event `model_version`, `release` and `test_rmse`.
"""

from airflow.sdk import Asset

RATINGS = Asset("ratings", uri="x-nightreel://tables/ratings", group="nightreel")
MODEL = Asset("model", uri="x-nightreel://models/champion", group="nightreel")
RECOMMENDATIONS = Asset(
    "recommendations", uri="x-nightreel://tables/recommendations", group="nightreel"
)
