"""The package as users get it: built archives, and environments into which its wheel is installed."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
# What an environment of the tests has in place of a package that a user's environment has.
_STAND_INS = {"opencv-python-headless": "opencv-python"}


def build(folder: Path) -> tuple[Path, Path]:
    """Build the source archive of this working tree and, from that archive alone, the wheel."""
    source = folder / "source"
    source.mkdir(parents=True)
    for path in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(path, source)
    for name in ("cytoyolo", "datasets", "docs", "requirements", "conda", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    archive = folder / _backend(source, f"build_sdist({str(folder)!r})")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return archive, folder / _backend(folder / archive.name.removesuffix(".tar.gz"), f"build_wheel({str(folder)!r})")


def _backend(source: Path, call: str) -> str:
    """Call the build backend in a folder; the name of the file that it wrote."""
    program = f"from setuptools import build_meta; print(build_meta.{call})"
    done = subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()[-1]


def environment(folder: Path, wheel: Path, libraries: Iterable[str] | None = None) -> Path:
    """Make an environment in which the wheel is installed; the folder of its programs.

    It sees the libraries that these lines of a requirements file ask for, and what these libraries need; by default all
    libraries of this environment.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/*/site-packages")
    if libraries is None:
        known = [path for path in sys.path if path.endswith("site-packages")]
        (site / "libraries.pth").write_text("".join(f"{path}\n" for path in known))
    else:
        for path in _paths(_needed(libraries)):
            (site / path.name).symlink_to(path)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--disable-pip-version-check"]
    call = [*pip, "install", "--quiet", "--no-index", "--no-deps", "--ignore-installed", wheel]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return folder / "bin"


def required(file: Path) -> dict[str, str]:
    """The packages of a requirements file, and their bounds."""
    lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    wanted = [Requirement(line) for line in lines if line]
    return {one.name: str(one.specifier) for one in wanted}


def _needed(names: Iterable[str]) -> set[str]:
    """The packages of these names and all that they need."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub("[-_.]+", "-", waiting.pop()).lower()
        name = _STAND_INS.get(name, name)
        if name not in found:
            found.add(name)
            wanted = map(Requirement, distribution(name).requires or ())
            waiting += [one.name for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})]
    return found


def _paths(names: Iterable[str]) -> set[Path]:
    """The files and folders of these packages directly in site-packages."""
    found = set()
    for name in names:
        for file in distribution(name).files or ():
            if file.parts[0] not in ("..", "__pycache__"):
                found.add(Path(os.fspath(distribution(name).locate_file(file.parts[0]))))
    return found
