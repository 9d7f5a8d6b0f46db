"""Look up known vulnerabilities of every pinned package: make audit.

Ends with status 1 for one that conf/audit-accepted.txt does not name. What could not be looked up
is said in a sentence and is no failure: where the service is not reached, nothing can be done.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CONF = Path(__file__).resolve().parent
LOCKS = (*sorted((CONF / "locks").glob("*.lock")), CONF / "horovod" / "source.txt")
SECONDS = 600


def pinned(lines: Iterable[str]) -> list[str]:
    """The packages of a lock, as name==version."""
    found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*==[^\s;\\]+", line) for line in lines)
    return [match[0] for match in found if match]


def accepted(text: str) -> set[str]:
    """The vulnerabilities that somebody has looked at: the first word of each line."""
    return {line.split()[0] for line in text.splitlines() if line.strip() and line[0] != "#"}


def looked_up(packages: list[str]) -> list[dict[str, Any]]:
    """What pip-audit found of each package; nothing where it could not ask at all."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, answer = Path(folder, "wanted.txt"), Path(folder, "answer.json")
        wanted.write_text("\n".join(packages) + "\n")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(wanted), "--no-deps"]
        command += [
            "--disable-pip",
            "--progress-spinner=off",
            "--format=json",
            f"--output={answer}",
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return []
        if not answer.is_file() or not answer.stat().st_size:
            print(f"audit: pip-audit said: {(done.stderr.strip() or 'nothing').splitlines()[-1]}")
            return []
        return json.loads(answer.read_text())["dependencies"]


def report(packages: list[str], found: list[dict[str, Any]], known: set[str]) -> tuple[str, bool]:
    """What to say, and whether all is well."""
    answered = [each for each in found if "skip_reason" not in each]
    lines, well = [], True
    for package in answered:
        for vulnerability in package["vulns"]:
            names = {vulnerability["id"], *vulnerability.get("aliases", ())}
            mended = ", ".join(vulnerability.get("fix_versions", ())) or "no release"
            line = f"{package['name']} {package['version']}: {', '.join(sorted(names))}"
            if names & known:
                lines.append(f"audit: accepted, see conf/audit-accepted.txt: {line}")
            else:
                lines.append(f"audit: VULNERABLE: {line}; mended in {mended}")
                well = False
    lacking = len(packages) - len(answered)
    if lacking:
        lines.append(
            f"audit: {lacking} of {len(packages)} packages could not be looked up, as the list of "
            "vulnerabilities at PyPI was not reached or does not know them."
        )
    lines.append(f"audit: {len(answered)} of {len(packages)} packages looked up.")
    return "\n".join(lines), well


def main() -> int:
    """Look up, report, and return the exit status."""
    packages = sorted({name for lock in LOCKS for name in pinned(lock.read_text().splitlines())})
    by_name: dict[str, list[str]] = {}
    for package in packages:
        by_name.setdefault(package.partition("==")[0], []).append(package)
    # The environments differ in versions, and one question takes one of each package.
    found: list[dict[str, Any]] = []
    for number in range(max(map(len, by_name.values()))):
        found += looked_up([each[number] for each in by_name.values() if len(each) > number])
    text, well = report(packages, found, accepted((CONF / "audit-accepted.txt").read_text()))
    print(text)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
