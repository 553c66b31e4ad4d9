"""What many tests share: the installed program, real data where it exists, and a model small enough to train here."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cytoyolo import console
from tests.blobs import blobs, small_run  # noqa: F401  (fixtures)
from tests.browser import browser  # noqa: F401  (fixture)
from tests.classifiers import classifier_weights  # noqa: F401  (fixture)
from tests.program import call

# A busy machine makes any example slow; speed is measured in benchmarks.
settings.register_profile("cytoyolo", deadline=None)
settings.load_profile("cytoyolo")

MARKS = re.compile(b"\xef\xb7[\x90-\x92]")
TEXTS = (".csv", ".json", ".txt", ".yaml", ".log", ".html", ".md", ".geojson", ".xml")
SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def cytoyolo() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call the program with these arguments."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = call(*arguments)
        assert not MARKS.search(f"{done.stdout}{done.stderr}".encode())
        return done

    return run


@pytest.fixture(autouse=True)
def no_marks(request: pytest.FixtureRequest) -> Iterator[None]:
    """The marks between the two forms of a sentence (see `cytoyolo.errors`) reach no file that a test writes."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    for path in folder.rglob("*") if folder else ():
        if path.suffix in TEXTS and path.is_file() and path.stat().st_size < 1_000_000:
            assert not MARKS.search(path.read_bytes()), path


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory) -> None:
    """What the program keeps for itself lies in a folder of this session's, not in the user's."""
    os.environ["CYTOYOLO_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.environ["SOURCE_DATE_EPOCH"] = "1764374400"  # 29 November 2025: outputs are the same after midnight


@pytest.fixture
def printed() -> Iterator[None]:
    """Notes are printed, as by the command line; else they are logged."""
    with console.shown():
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets (cytologia, wbc5, pbc3); a test that needs it is skipped where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("no real data on this machine (../shared/data)")
    return SHARED
