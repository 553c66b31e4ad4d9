"""A program of the user's type-checks against the installed package, and gets its names lazily."""

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cytoyolo
from tests.installed import ROOT, build, environment

# It stays from run to run, so that mypy need not read pandas and this package anew.
PLACE = ROOT / ".mypy_cache" / "installed"
PROGRAM = """
from pathlib import Path

import pandas as pd

import cytoyolo
from cytoyolo import CytoyoloError, Detections, Detector, LabelTable, Score, UsageError


def clean(folder: Path) -> int:
    audit = cytoyolo.audit(folder / "train.csv", images=folder / "images", config=None)
    frame: pd.DataFrame = cytoyolo.audit(pd.read_csv(folder / "train.csv")).findings
    if audit.errors:
        repaired = cytoyolo.repair(folder / "train.csv", output=folder / "clean.csv", skip=["overlap"])
        return repaired.rows + len(repaired.changes)
    return len(frame)


def learn(folder: Path) -> Path:
    converted = cytoyolo.convert(folder / "clean.csv", images=folder / "images", output=folder / "set", val=0.1)
    share: float = converted.boxes / converted.images
    trained = cytoyolo.train(converted.folder, output=folder / "run", epochs=10, imgsz=320, mosaic=0.5)
    metrics: dict[str, float] = trained.metrics
    print(share, metrics["metrics/mAP50(B)"])
    return trained.weights


def use(weights: Path, folder: Path) -> Detections:
    predicted = cytoyolo.predict(weights, folder / "images", output=folder / "found")
    print(predicted.images, predicted.failures.get("a.jpg", "fine"))
    detections = Detector(weights).predict(folder / "images" / "a.jpg")
    print(detections.xyxy.shape, detections.confidence.max(), detections.to_pandas().columns)
    several: list[Detections] = Detector(weights).predict([folder / "images", "more/*.jpg"])
    return several[0] if several else detections


def judge(folder: Path) -> float:
    result: Score = cytoyolo.score(folder / "truth.csv", folder / "submission.csv")
    low, high = result.interval
    faults = [finding.message for finding in cytoyolo.check(folder / "test.csv", folder / "submission.csv")]
    return result.score if low <= high and not faults else 0.0


def cells(table: LabelTable) -> int:
    return int(table.labels.sum())


try:
    clean(Path("data"))
except UsageError as error:
    raise SystemExit(2) from error
except CytoyoloError as error:
    print(error)
"""
# What has no types of its own, in the user's program or behind the package.
SETTINGS = """
[mypy]
strict = true
[mypy-ultralytics.*,torch.*,scipy.*,simplejpeg.*,tifffile.*,imagecodecs.*,onnx.*,onnxruntime.*,openvino.*,nncf.*]
ignore_missing_imports = true
follow_imports = skip
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python in which the built package is installed, beside the libraries of this one."""
    _, wheel = build(tmp_path_factory.mktemp("built"))
    shutil.rmtree(PLACE / "environment", ignore_errors=True)
    return environment(PLACE / "environment", wheel) / "python"


def check(program: str, python: Path) -> list[str]:
    (PLACE / "program.py").write_text(program)
    (PLACE / "mypy.ini").write_text(SETTINGS)
    call = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", "cache"]
    done = subprocess.run(
        [*call, "--python-executable", python, "program.py"], cwd=PLACE, capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_program_of_the_users_type_checks(installed: Path) -> None:
    assert check(PROGRAM, installed) == ["Success: no issues found in 1 source file"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("cytoyolo.audit(3)", 'Argument 1 to "audit" has incompatible type "int"'),
        ("cytoyolo.audit('a.csv').nothing", '"Audit" has no attribute "nothing"'),
        ("cytoyolo.convert('a.csv', output='b')", 'Missing named argument "images" for "convert"'),
        ("cytoyolo.train('a', output='b', epochs='many')", 'Argument "epochs" to "train" has incompatible type "str"'),
        ("cytoyolo.train('a', output='b', mosaik=0.5)", 'Unexpected keyword argument "mosaik" for "train"'),
        (
            "cytoyolo.curate('a', oof='b', output='c', boxes='lose')",
            'Argument "boxes" to "curate" has incompatible type',
        ),
        ("found: list[object] = cytoyolo.Detector('a.pt').predict('slides')", 'expression has type "Detections"'),
        ("cytoyolo.nothing", 'Module has no attribute "nothing"'),
    ],
)
def test_a_wrong_call_is_told(wrong: str, words: str, installed: Path) -> None:
    first, *_ = check(f"import cytoyolo\n{wrong}\n", installed)
    assert words in first


def test_every_public_name_is_there_and_listed() -> None:
    assert sorted(cytoyolo.__all__) == cytoyolo.__all__
    for name in cytoyolo.__all__:
        assert getattr(cytoyolo, name).__name__ == name
    assert set(cytoyolo.__all__) <= set(dir(cytoyolo))


def test_the_package_loads_nothing_before_a_name_is_used() -> None:
    code = "import sys, cytoyolo; dir(cytoyolo); cytoyolo.UsageError; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pandas", "numpy", "cv2", "ultralytics"} & set(loaded)


def test_results_with_tables_or_arrays_are_compared_by_identity() -> None:
    """The == of a dataclass compares its values, and a table or an array has no single answer to ==."""
    exported = {name: getattr(cytoyolo, name) for name in cytoyolo.__all__}
    types = {name: one for name, one in exported.items() if isinstance(one, type) and dataclasses.is_dataclass(one)}
    several = re.compile("DataFrame|Series|ndarray")
    wrong = [
        name
        for name, one in types.items()
        if one.__eq__ is not object.__eq__ and any(several.search(str(field.type)) for field in dataclasses.fields(one))
    ]
    assert len(types) > 20 and wrong == []
