"""The version of the code names the commit that it was checked out at."""

import subprocess
from importlib.metadata import version

from jobs.runs.code import code_version


def test_a_checkout_is_named_by_its_commit_and_whether_it_was_changed(tmp_path, monkeypatch):
    def git(*arguments: str) -> str:
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *author, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    own = version("nightreel")
    assert code_version(tmp_path) == own
    git("init", "--quiet")
    # Nothing is committed yet.
    assert code_version(tmp_path) == f"{own}+unknown"
    (tmp_path / "file").write_text("a")
    git("add", ".")
    git("commit", "--quiet", "--message=a")
    git("tag", "v9")
    commit = git("rev-parse", "--short", "HEAD")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert code_version(tmp_path) == f"{own}+{commit}"
    (tmp_path / "file").write_text("b")
    assert code_version(tmp_path) == f"{own}+{commit}.dirty"
    monkeypatch.setenv("PATH", "")
    assert code_version(tmp_path) == f"{own}+unknown"
