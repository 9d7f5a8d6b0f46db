"""What `make audit` makes of pip-audit's answers."""

import importlib.util
from pathlib import Path

import pytest

CONF = Path(__file__).resolve().parents[2] / "conf"
specification = importlib.util.spec_from_file_location("audit", CONF / "audit.py")
assert specification is not None
assert specification.loader is not None
audit = importlib.util.module_from_spec(specification)
specification.loader.exec_module(audit)

PACKAGES = ["a==1", "b==2", "c==3"]
GOOD = {"name": "b", "version": "2", "vulns": []}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


def bad(*names: str) -> dict:
    vulnerability = {"id": names[0], "aliases": names[1:], "fix_versions": ["1.1"]}
    return {"name": "a", "version": "1", "vulns": [vulnerability]}


@pytest.mark.parametrize(
    ("found", "well", "sentence"),
    [
        ([bad("PYSEC-1", "CVE-1"), GOOD], False, "VULNERABLE: a 1: CVE-1, PYSEC-1; mended in 1.1"),
        (
            [bad("PYSEC-2", "CVE-2"), GOOD],
            True,
            "accepted, see conf/audit-accepted.txt: a 1: CVE-2",
        ),
        ([GOOD, SKIPPED], True, "2 of 3 packages could not be looked up"),
        ([], True, "3 of 3 packages could not be looked up"),
    ],
)
def test_only_a_vulnerability_that_nobody_has_accepted_fails(found, well, sentence):
    text, is_well = audit.report(PACKAGES, found, {"CVE-2"})
    assert is_well == well
    assert sentence in text
    assert text.endswith("of 3 packages looked up.")


def test_every_package_of_a_lock_is_asked_for():
    lock = [
        "# Written",
        "a==1 \\",
        "    --hash=sha256:0",
        "b-c==2.0+x ; sys_platform == 'win32' \\",
    ]
    assert audit.pinned(lock) == ["a==1", "b-c==2.0+x"]
    assert audit.pinned((CONF / "horovod/source.txt").read_text().splitlines()) == [
        "horovod==0.28.1"
    ]


def test_what_is_accepted_says_why():
    lines = (CONF / "audit-accepted.txt").read_text().splitlines()
    assert all(len(line.split()) > 3 for line in lines if line[0] != "#")
    assert audit.accepted("# why\nCVE-1  a: because\n\n") == {"CVE-1"}
