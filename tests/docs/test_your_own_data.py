"""The snippets of docs/your-own-data.md, as they stand there."""

import re
from pathlib import Path

import yaml

from jobs.release.detection import detect_layout
from jobs.runs.configuration import load_configuration

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "your-own-data.md").read_text()


def snippet(language: str) -> str:
    [code] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return code


def test_the_settings_are_ones_and_describe_such_a_file(tmp_path):
    said = yaml.safe_load(snippet("yaml"))["ingest"]
    settings = [f"ingest.{key}={yaml.safe_dump(value)}" for key, value in said.items()]
    (tmp_path / "ratings.csv").write_text("at;shop;sku;customer;stars\n17.01.2018;web;7;1;5\n")
    (tmp_path / "movies.csv").write_text("name;kind;sku\nA book;Novel;7\n")
    conf = load_configuration(["ingest.dataset=mine", "ingest.source=x", *settings])
    assert str(detect_layout(tmp_path, conf.ingest)) == (
        "ratings.csv and movies.csv in UTF-8, ratings 1 to 10, times as dd.MM.yyyy, "
        "kept aside: shop"
    )
