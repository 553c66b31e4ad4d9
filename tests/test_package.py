"""The wheel and the source archive hold everything, and what users install of them works."""

import os
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from packaging.requirements import Requirement

from cytoyolo import __version__, export
from tests.installed import ROOT, build, environment, required

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PREDICT = ROOT / "requirements" / "predict.txt"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive, and the wheel that was built of it."""
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def wheel(archives: tuple[Path, Path]) -> Path:
    return archives[1]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's weights as ONNX."""
    return export("leukocytes", output=tmp_path_factory.mktemp("network") / "leukocytes.onnx").output


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The programs of an environment of the wheel and requirements/predict.txt."""
    return environment(tmp_path_factory.mktemp("predict") / "environment", wheel, required(PREDICT))


@pytest.fixture(scope="module")
def smear(tmp_path_factory: pytest.TempPathFactory, without_torch: Path) -> Path:
    """A few painted images with their label table, made by the installed program."""
    folder = tmp_path_factory.mktemp("smear") / "smear"
    done = run(without_torch, "smear", "-o", folder, "--images", 3)
    assert not done.returncode, done.stderr
    return folder


def run(programs: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    call = [programs / "cytoyolo", *map(str, arguments)]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=programs, env=variables)


def files_of_package() -> dict[str, bytes]:
    """What a wheel must hold: each file of the working tree's package, by its name there."""
    places = {"cytoyolo": ROOT / "cytoyolo", "cytoyolo/datasets": ROOT / "datasets"}
    return {
        f"{name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for name, folder in places.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def lacking(wheel: Path) -> list[str]:
    """The files of the package that a wheel lacks, or holds with other bytes."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    return sorted(name for name, data in files_of_package().items() if held.get(name) != data)


def test_the_wheel_holds_each_file_of_the_package(wheel: Path) -> None:
    assert lacking(wheel) == []


@pytest.mark.parametrize(
    "lost",
    ["datasets/cytologia.yaml", "recipes/quick.yaml", "weights/leukocytes.pt", "report/templates/page.css",
     "reviewing/page/start.js", "py.typed", "weights/__init__.py"],
)  # fmt: skip
def test_a_wheel_without_a_file_is_told(lost: str, wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(tmp_path / wheel.name, "w") as rest:
        for name in whole.namelist():
            if name != f"cytoyolo/{lost}":
                rest.writestr(name, whole.read(name))
    assert lacking(tmp_path / wheel.name) == [f"cytoyolo/{lost}"]


def test_the_source_archive_holds_what_make_needs(archives: tuple[Path, Path]) -> None:
    unpacked = archives[0].with_name(archives[0].name.removesuffix(".tar.gz"))
    for name in (
        "Makefile",
        "constraints.txt",
        "LICENSE",
        "README.md",
        "tests/conftest.py",
        "requirements/predict.txt",
    ):
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_requirements_of_a_prediction_are_those_of_the_package() -> None:
    of_package = {one.name: str(one.specifier) for one in map(Requirement, PROJECT["dependencies"])}
    onnx = {one.name: str(one.specifier) for one in map(Requirement, PROJECT["optional-dependencies"]["onnx"])}
    for name in ("torch", "torchvision", "ultralytics", "cloudpickle"):  # trainings and .pt files only
        del of_package[name]
    of_package["opencv-python-headless"] = of_package.pop("opencv-python")
    assert required(PREDICT) == of_package | {"onnxruntime": onnx["onnxruntime"]}


def test_the_conda_recipe_needs_what_the_package_needs() -> None:
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    names = {"pytorch": "torch", "py-opencv": "opencv-python", "matplotlib-base": "matplotlib"}
    pairs = [str(line).partition(" ") for line in recipe["requirements"]["run"]]
    listed = {names.get(name, name): bound for name, _, bound in pairs}
    assert listed.pop("python") == PROJECT["requires-python"]
    assert listed == {one.name: str(one.specifier) for one in map(Requirement, PROJECT["dependencies"])}
    assert recipe["context"]["version"] == __version__


def test_the_citation_has_the_version_and_the_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (__version__, PROJECT["license"])


@pytest.mark.slow
def test_an_onnx_file_predicts_without_torch_and_ultralytics(
    without_torch: Path, network: Path, smear: Path, tmp_path: Path, cytoyolo
) -> None:
    program = f"""
import importlib.util as util, cytoyolo
assert not any(map(util.find_spec, ("torch", "torchvision", "ultralytics", "onnx")))
print(cytoyolo.Detector({str(network)!r}).predict([{str(smear / "images")!r}])[0].xyxy.shape[1])
"""
    done = subprocess.run([without_torch / "python", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr

    done = run(without_torch, "predict", network, smear / "images", "-o", tmp_path / "without")
    assert not done.returncode, done.stderr
    done = cytoyolo("predict", network, smear / "images", "-o", tmp_path / "with")
    assert not done.returncode, done.stderr
    written = {path.relative_to(tmp_path / "with") for path in (tmp_path / "with").rglob("*") if path.is_file()}
    assert Path("detections.csv") in written and len(pd.read_csv(tmp_path / "with" / "detections.csv"))
    for name in written:
        assert (tmp_path / "without" / name).read_bytes() == (tmp_path / "with" / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        ("predict", "leukocytes", "{smear}/images", "-o", "found"),
        ("train", "{smear}/set", "-o", "run"),
    ],
    ids=lambda call: call[0],
)
def test_what_needs_torch_says_so_in_one_sentence(
    call: tuple[str, ...], without_torch: Path, smear: Path, tmp_path: Path
) -> None:
    if call[0] == "train":
        made = run(without_torch, "convert", smear / "train.csv", "--images", smear / "images", "-o", tmp_path / "set",
                   "--dataset", "cytologia")  # fmt: skip
        assert not made.returncode, made.stderr
        call = ("train", str(tmp_path / "set"), "-o", "run")
    done = run(without_torch, *(part.format(smear=smear) for part in call))
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "this needs " in done.stderr and "is not installed. Only networks in ONNX files" in done.stderr


@pytest.mark.slow
def test_info_tells_that_torch_is_not_installed(without_torch: Path) -> None:
    done = run(without_torch, "info")
    assert not done.returncode and "torch not installed" in done.stdout, done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The programs of an environment of the wheel and all libraries."""
    return environment(tmp_path_factory.mktemp("whole") / "environment", wheel)


def test_the_installed_package_works(whole: Path, smear: Path, tmp_path: Path) -> None:
    assert "predict" in run(whole, "--help").stdout
    done = run(whole, "smear", "-o", tmp_path / "smear", "--images", 3)
    assert not done.returncode, done.stderr
    for path in smear.rglob("*.csv"):
        assert path.read_bytes() == (tmp_path / "smear" / path.relative_to(smear)).read_bytes()
    done = run(whole, "predict", "leukocytes", smear / "images", "-o", tmp_path / "found")
    assert not done.returncode and (tmp_path / "found" / "detections.csv").is_file(), done.stderr
    program = [whole / "python", "-c", "import cytoyolo; print(cytoyolo.__file__)"]
    located = subprocess.run(program, capture_output=True, text=True, check=True, cwd=whole)
    assert located.stdout.startswith(str(whole.parent))
