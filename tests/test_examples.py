"""The examples in docstrings run, and give what they say.

They run in a folder with best.pt (weights), slides/ (images), labels.csv, faulty.csv (with an inverted box) and
test.csv.
"""

import doctest
import re
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cytoyolo

PACKAGE = Path(cytoyolo.__file__).parent
SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]


@pytest.fixture
def place(request, tmp_path, monkeypatch):
    """The folder in which the examples of a source run."""

    def prepare(text):
        if any(name in text for name in ("best.pt", "slides", "faulty.csv")):
            blobs = request.getfixturevalue("blobs")
            shutil.copytree(blobs / "images", tmp_path / "slides")
            labels = pd.read_csv(blobs / "labels.csv").replace({"class": {"dark": "PNN", "pale": "LY"}})
            labels.to_csv(tmp_path / "labels.csv", index=False)
            labels.loc[0, ["x1", "x2"]] = labels.loc[0, ["x2", "x1"]].tolist()
            labels.to_csv(tmp_path / "faulty.csv", index=False)
            shutil.copy(blobs / "test.csv", tmp_path)
        if re.search(r">>> .*best\.pt(?!.*SKIP)", text):
            run = request.getfixturevalue("small_run")
            shutil.copy(run / "weights" / "best.pt", tmp_path)
        monkeypatch.chdir(tmp_path)

    return prepare


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_examples(source, place):
    place(source.read_text(encoding="utf-8"))
    parts = source.relative_to(PACKAGE.parent).with_suffix("").parts
    module = import_module(".".join(part for part in parts if part != "__init__"))
    # Ultralytics, which another test of this process may have imported, changes how numpy prints.
    with np.printoptions(precision=8, suppress=False, linewidth=75, formatter={}):
        results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert results.attempted and not results.failed
