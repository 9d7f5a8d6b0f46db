"""docs/a-new-model.md, followed to the letter in a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "a-new-model.md").read_text(encoding="utf-8")
# A line of the file after which the page's block goes.
AFTER = {
    "model/family.py": "RATING_MODELS = {\n",
    "conf/base.yaml, in train": "\ntrain:\n",
}


def blocks() -> dict[str, str]:
    """The page's blocks that name a file in their first line."""
    found = re.findall(r"```(?:python|yaml)\n# ([^\n]+)\n(.*?)```", PAGE, re.DOTALL)
    return dict(found)


def test_the_model_of_the_page_passes_the_tests_of_the_family(tmp_path):
    for folder in ("jobs", "model", "conf", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert set(blocks()) == {"model/dot_product.py", *AFTER}
    for name, block in blocks().items():
        file = tmp_path / name.split(",")[0]
        if name in AFTER:
            before, line, after = file.read_text().partition(AFTER[name])
            assert line
            block = before + line + block + after
        file.write_text(block)
    tests = ["tests/model/test_family.py", "tests/jobs/runs/test_configuration.py"]
    chosen = ["-k", "dot_product or files_in_conf"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, *chosen],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    # One for each test of the family, and the one of conf.
    assert re.search(r"\b11 passed", done.stdout), done.stdout[-1000:]
