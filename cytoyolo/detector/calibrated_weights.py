"""Weights of any form, a checkpoint or an export, written again with a calibration."""

import shutil
from dataclasses import replace
from pathlib import Path

from cytoyolo.detector.calibration import Calibration
from cytoyolo.detector.ensemble_folder import is_ensemble
from cytoyolo.detector.export import MAKER as EXPORT
from cytoyolo.detector.export import is_own, stored_facts, with_facts
from cytoyolo.detector.model_info import FACTS_FILE, ModelInfo, parse_model_info
from cytoyolo.detector.networks import XML_FILE
from cytoyolo.detector.weights import load_network, write_calibrated
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError
from cytoyolo.files import check_folder, check_place, new_folder, write_text


def model_info(path: Path) -> ModelInfo:
    """Return the properties of a checkpoint (.pt), or of an ONNX file or OpenVINO folder of `cytoyolo export`.

    Raises UsageError for a missing file, and CytoyoloError for any other file.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such weights; check the path.")
    if is_ensemble(path):
        raise UsageError(f"{path} is an ensemble of several models; give one of its files.")
    if path.is_dir():
        if not (path / XML_FILE).is_file() or not (path / FACTS_FILE).is_file():
            best = path / "weights" / "best.pt"
            if best.is_file():
                raise UsageError(f"{path} is the folder of a training; give its weights, {best}.")
            raise UsageError(f"{path} is not an OpenVINO folder of `cytoyolo export`; give such a folder, or a file.")
        return parse_model_info((path / FACTS_FILE).read_text(encoding="utf-8"), path)
    if path.suffix.lower() == ".onnx":
        if not is_own(path):
            raise CytoyoloError(f"{path} is not an ONNX file of `cytoyolo export`; export the checkpoint by it.")
        return stored_facts(path)
    return load_network(path)[1]


def check_output(weights: Path, output: Path, overwrite: bool) -> None:
    """Refuse an output that has another form than the weights, that is the weights, or that exists."""
    if output.absolute() == weights.absolute() or (output.exists() and output.resolve() == weights.resolve()):
        raise UsageError(f"{output} is the weights themselves, which are never changed; give another name.")
    if weights.is_dir():
        check_folder(output, EXPORT, overwrite, inputs=(weights,))
        return
    suffix = ".onnx" if weights.suffix.lower() == ".onnx" else ".pt"
    if output.suffix.lower() != suffix:
        raise UsageError(f"{output} must end in {suffix}, like the weights; give such a name.")
    check_place(output)
    if output.is_dir():
        raise UsageError(f"{output} is a folder; give the name of a {suffix} file.")
    if output.exists():
        if not overwrite:
            raise UsageError(f"{output} exists; give another name or {OVERWRITE}.")
        if model_info(output).calibration is None:
            raise UsageError(f"{output} was not made by this command; move it, or give another name.")


def write_with(weights: Path, output: Path, calibration: Calibration, overwrite: bool) -> None:
    """Write weights again, with a calibration. The given weights are not changed."""
    if not weights.is_dir():
        if weights.suffix.lower() == ".onnx":
            with_facts(weights, output, replace(stored_facts(weights), calibration=calibration))
        else:
            write_calibrated(weights, output, calibration)
        return
    facts = replace(model_info(weights), calibration=calibration)
    with new_folder(output, EXPORT, overwrite) as folder:
        for name in (XML_FILE, Path(XML_FILE).with_suffix(".bin").name):
            shutil.copyfile(weights / name, folder / name)
        write_text(folder / FACTS_FILE, facts.to_json() + "\n")
