"""The examples in docstrings run, and give what they say."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    "cytoyolo.annotations.coordinate_forms",
    "cytoyolo.boxes",
    "cytoyolo.files",
    "cytoyolo.images.complaints",
    "cytoyolo.images.decoding",
    "cytoyolo.images.duplicates",
    "cytoyolo.images.folder",
    "cytoyolo.images.hashes",
    "cytoyolo.images.info",
    "cytoyolo.images.jpeg",
    "cytoyolo.images.kinds",
    "cytoyolo.images.names",
    "cytoyolo.images.reading",
    "cytoyolo.images.samples",
    "cytoyolo.shipped",
    "cytoyolo.spec",
    "cytoyolo.signatures",
    "cytoyolo.tables.columns",
    "cytoyolo.tables.dialect",
    "cytoyolo.tables.kinds",
    "cytoyolo.tables.records",
    "cytoyolo.tables.table",
    "cytoyolo.text",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # examples that write files write them here
    results = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert results.attempted
    assert not results.failed
