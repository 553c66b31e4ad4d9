"""What many tests share: the installed program, real data where it exists, and a model small enough to train here."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cytoyolo import console
from tests.blobs import blobs, small_run  # noqa: F401  (fixtures)

PROGRAM = Path(sys.executable).with_name("cytoyolo")
SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def cytoyolo() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the installed program with these arguments, as a user does."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory) -> None:
    """What the program keeps for itself lies in a folder of this session's, not in the user's."""
    os.environ["CYTOYOLO_HOME"] = str(tmp_path_factory.mktemp("state"))


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
