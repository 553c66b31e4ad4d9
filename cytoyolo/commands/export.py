"""`export`: write a checkpoint for ONNX Runtime or OpenVINO, and measure how much score int8 loses."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo import defaults
from cytoyolo.commands.export_ensemble import export_ensemble
from cytoyolo.detector import export as exports
from cytoyolo.detector.ensemble_folder import is_ensemble
from cytoyolo.detector.model_info import CLASSIFY
from cytoyolo.detector.networks import ONNX, OPENVINO, Pixels
from cytoyolo.detector.predict import Detector, detect_files
from cytoyolo.detector.preprocessing import to_input
from cytoyolo.detector.table import DetectionTable
from cytoyolo.detector.weights import load_network
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, check_choice, check_seed, listed, option
from cytoyolo.files import atomic_file, check_folder, check_place, new_folder, write_text
from cytoyolo.images.info import check_image_folder, decode
from cytoyolo.images.samples import White
from cytoyolo.scoring.check import unusable
from cytoyolo.scoring.rows import fill
from cytoyolo.scoring.score import Score, evaluate
from cytoyolo.shipped import weights_path
from cytoyolo.spec import MASK, DataSpec, load_spec
from cytoyolo.tables.table import LABEL_ROLES, XYXY, fingerprint, have_only_a_name, read_table, refuse

# The largest numbers of images on which the ranges of an int8 network are measured, and on which it is compared with
# fp32.
CALIBRATION, COMPARISON = 300, 1_000
_SHARE = 0.5  # of the images, for the calibration


@dataclass(frozen=True)
class Exported:
    """The result of `export`.

    Attributes
    ----------
    output : Path
        The ONNX file, or the OpenVINO folder.
    comparison : dict or None
        The scores of the fp32 and the int8 network on images that the calibration has not seen. None for an fp32
        export.
    """

    output: Path
    comparison: dict[str, Any] | None = None


def export(
    weights: str | Path,
    *,
    output: str | Path,
    format: defaults.ExportFormat = defaults.FORMAT,
    int8: bool = False,
    calibrate: str | Path | None = None,
    images: str | Path | None = None,
    dataset: str | Path | None = None,
    imgsz: int | None = None,
    max_loss: float = defaults.EXPORT_LOSS,
    seed: int = defaults.SEED,
    overwrite: bool = False,
) -> Exported:
    """Write a checkpoint of a detector or a classifier as an ONNX file or an OpenVINO folder, or the models of an
    ensemble as ONNX files in a folder, which is an ensemble again.

    The network takes batches and images of any size and gives the scores of all classes. With `int8` the ranges of a
    detector's values are measured on half of the images of a label table. The other half compares int8 with fp32 by
    the challenge's score, and OUTPUT.comparison.json keeps the figures.

    Parameters
    ----------
    weights : str or Path
        The checkpoint (.pt), or the folder of an ensemble.
    output : str or Path
        The file or folder to write.
    format : str
        "onnx" or "openvino".
    int8 : bool
        Calculate in 8-bit whole numbers.
    calibrate, images : str or Path, optional
        For int8: the label table and the folder of its images.
    dataset : str or Path, optional
        The data set of the label table. By default the description that the weights carry.
    imgsz : int, optional
        The side in pixels of the images for int8. By default the size of the training.
    max_loss : float
        The largest loss of score that int8 may cost, 0 to 1.
    seed : int
        The seed of the choice of images.
    overwrite : bool
        Replace an existing output of `export`.

    Returns
    -------
    Exported

    Raises
    ------
    UsageError
        For a wrong call or a missing package.
    CytoyoloError
        For weights or tables that can't be used, or if int8 loses too much.

    Examples
    --------
    >>> import cytoyolo
    >>> cytoyolo.export("best.pt", output="best.onnx").output.name
    'best.onnx'
    """
    weights, output = weights_path(weights), Path(output)
    if not 0 <= abs(max_loss) <= 1:
        raise UsageError("max_loss", max_loss, "give a share of the score, such as 0.01")
    check_choice("format", format, defaults.ExportFormat)
    exports.check_packages(format, int8)
    if not int8:
        only: dict[str, object] = {"calibrate": calibrate, "images": images, "imgsz": imgsz, "dataset": dataset}
        _refuse_for_int8(
            only | {"seed": seed or None, "max_loss": None if max_loss == defaults.EXPORT_LOSS else max_loss}
        )
    if is_ensemble(weights):
        export_ensemble(weights, output, format, int8, overwrite)
        return Exported(output)
    _check_output(output, format, overwrite)
    comparison = output.with_name(f"{output.name}.comparison.json")
    if comparison.exists() and not (overwrite and _is_comparison(comparison)):
        remedy = "is not a comparison that this command made; move it" if overwrite else f"exists; give {OVERWRITE}"
        raise UsageError(f"{comparison} {remedy}, or give another output.")
    if not int8:
        if format == ONNX:
            exports.write_onnx(weights, output)
        else:
            exports.write_openvino(weights, output, overwrite)
        comparison.unlink(missing_ok=True)  # the comparison of the int8 export that was just replaced
        return Exported(output)
    if calibrate is None or images is None:
        raise UsageError(
            f"{option('int8', True)} needs {option('calibrate')}, a label table, and {option('images')}, the folder of "
            "its images."
        )
    check_seed(seed)
    check_image_folder(Path(images))
    if load_network(weights)[1].task == CLASSIFY:
        raise UsageError(f"{weights} is a classifier, and int8 is for detectors; leave out {option('int8', True)}.")
    with tempfile.TemporaryDirectory(prefix="cytoyolo.") as folder:
        made, measured = _quantized(
            weights, Path(folder), format, Path(calibrate), Path(images), dataset=dataset, imgsz=imgsz, seed=seed
        )
        if (loss := measured["loss"]) > max_loss:
            raise CytoyoloError(
                f"int8 loses {loss:.4f} of the score ({measured['fp32']['score']:.4f} to "
                f"{measured['int8']['score']:.4f}), more than {option('max_loss', max_loss)}; use fp32, or "
                "calibrate on more images."
            )
        _put(made, output, format, overwrite)
    write_text(comparison, json.dumps(measured, indent=2) + "\n")
    return Exported(output, measured)


def _refuse_for_int8(given: Mapping[str, object]) -> None:
    """Raise UsageError for options that only int8 has."""
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{option(name)} needs {option('int8', True)}; give both or neither.")


def _quantized(
    weights: Path, folder: Path, format: str, table: Path, images: Path, *, dataset: str | Path | None,
    imgsz: int | None, seed: int,
) -> tuple[Path, dict[str, Any]]:  # fmt: skip
    """Return an int8 export in `folder`, and its comparison with fp32 on images that it was not calibrated on."""
    whole, small = (folder / (f"{name}.onnx" if format == ONNX else name) for name in ("fp32", "int8"))
    facts = exports.write_onnx(weights, whole) if format == ONNX else exports.write_openvino(weights, whole)
    side = facts.imgsz if imgsz is None else imgsz
    if side is None or side < 1 or side % facts.stride:
        raise UsageError(
            f"{weights} can't be calibrated at {side} px; give {option('imgsz')}, a multiple of {facts.stride}."
        )
    spec = facts.spec if dataset is None else load_spec(dataset)
    if spec is None:
        raise UsageError(f"these weights don't say what data set they are for; give {option('dataset')}.")
    truth = _truth(table, spec, facts.codes)
    learn, test = _parted(truth["image"].unique().tolist(), seed)
    exports.write_int8(whole, small, [images / name for name in learn], partial(_input, side=side, white=facts.white))
    measured = _compare(whole, small, truth[truth["image"].isin(test)], images, spec, side)
    return small, measured | {
        "weights_sha256": facts.sha256, "table_sha256": fingerprint(table), "seed": seed, "imgsz": side,
        "calibration_images": len(learn), "comparison_images": len(test),
    }  # fmt: skip


def _is_comparison(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"fp32", "int8", "weights_sha256"} <= content.keys()


def _check_output(output: Path, format: str, overwrite: bool) -> None:
    if format == OPENVINO:
        check_folder(output, exports.MAKER, overwrite)
        return
    check_place(output)
    if output.suffix.lower() != ".onnx":
        raise UsageError(f"{output} is not the name of an ONNX file; give a name that ends in .onnx.")
    if output.is_dir():
        raise UsageError(f"{output} is a folder; give the name of a file.")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists; give another name or {OVERWRITE}.")
    if output.exists() and not exports.is_own(output):
        raise UsageError(f"{output} is not a file that this command made; give another name.")


def _truth(path: Path, spec: DataSpec, codes: Sequence[str]) -> pd.DataFrame:
    """The label table with numeric boxes, as the truth of a score."""
    table = read_table(path, spec, LABEL_ROLES).assign(id=lambda rows: [str(row) for row in range(len(rows))])
    # A score leaves out images without cells, and does not know ignore regions.
    table = table[~have_only_a_name(table, spec.codes) & (table["class"] != MASK)]
    xyxy, faults = unusable(table, spec)
    refuse(path, faults, "mend them", table)
    if unknown := sorted(set(table["class"]) - set(codes)):
        raise CytoyoloError(f"{path} has classes the weights don't know ({listed(unknown)}); give their own table.")
    table[XYXY] = xyxy
    return table


def _parted(names: list[str], seed: int) -> tuple[list[str], list[str]]:
    """Images to calibrate on, and others to compare on."""
    if len(names) < 2:
        raise CytoyoloError("a calibration needs labels of two images or more, and better of some hundred.")
    shuffled = np.random.default_rng(seed).permutation(np.array(sorted(names), dtype=object)).tolist()
    half = max(round(len(shuffled) * _SHARE), 1)
    return shuffled[: min(half, CALIBRATION)], shuffled[half:][:COMPARISON]


def _input(path: Path, side: int, white: White) -> Pixels:
    picture, problem = decode(path, white)
    _refuse_bad(path, problem)
    return to_input([picture], side)


def _refuse_bad(path: Path, problem: str) -> None:
    if problem:
        raise CytoyoloError(f"{path} {problem}; mend the table with `cytoyolo repair`, or leave the image out.")


def _compare(whole: Path, small: Path, truth: pd.DataFrame, images: Path, spec: DataSpec, side: int) -> dict[str, Any]:
    """The scores of both networks on labels that neither was calibrated on, and how far they agree."""
    scored = {name: _score(path, truth, images, spec, side) for name, path in (("fp32", whole), ("int8", small))}
    parts = {name: {"score": one.score, "giou": one.giou, "macro_f1": one.macro_f1} for name, one in scored.items()}
    same = scored["fp32"].matches["predicted"].to_numpy() == scored["int8"].matches["predicted"].to_numpy()
    loss = scored["fp32"].score - scored["int8"].score
    return {**parts, "loss": loss, "same_class": float(same.mean()), "rows": len(truth)}


def _score(path: Path, truth: pd.DataFrame, images: Path, spec: DataSpec, side: int) -> Score:
    detector = Detector(path, conf=defaults.SUBMISSION_CONF, imgsz=side, device="cpu")
    detector.keep_at_least(int(truth["image"].value_counts().max()))
    names = truth["image"].unique().tolist()
    found = []
    for name, one in zip(names, detect_files(detector, (images / name for name in names)), strict=True):
        _refuse_bad(one.path, one.problem)
        found.append(replace(one.detections, image=name))
    rows = DetectionTable.of(found, detector.codes)
    return evaluate(truth, fill(truth[["id", "image"]], [rows], spec.fallback)[0], replicates=1)


def _put(made: Path, output: Path, format: str, overwrite: bool) -> None:
    """Give a finished export its place."""
    if format == ONNX:
        with atomic_file(output) as temporary:
            shutil.copyfile(made, temporary)
        return
    with new_folder(output, exports.MAKER, overwrite) as folder:
        for file in made.iterdir():
            if not file.name.startswith("."):
                shutil.copyfile(file, folder / file.name)
