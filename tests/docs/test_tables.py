"""docs/tables.md says of every published table what the code writes."""

import re
from pathlib import Path

from jobs.runs.schemas import NULLABLE, PUBLISHED, columns_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tables.md").read_text()
SECTION = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \| (\S+) \| (never|may be) \| \S.* \|$", re.MULTILINE)


def test_the_page_has_every_column_its_type_and_whether_it_may_be_null():
    listed = {
        name: [(column, kind.replace("\\", ""), null) for column, kind, null in ROW.findall(text)]
        for name, text in SECTION.findall(PAGE)
    }
    assert listed == {
        name: [
            (column, kind, "may be" if column in NULLABLE[name] else "never")
            for column, kind in columns_of(ddl).items()
        ]
        for name, (ddl, _) in PUBLISHED.items()
    }


def test_the_page_says_what_tables_are_partitioned_by():
    parts = {
        name: re.findall(r"Partitioned by\s`(\w+)`", text) for name, text in SECTION.findall(PAGE)
    }
    assert parts == {name: partition for name, (_, partition) in PUBLISHED.items()}
