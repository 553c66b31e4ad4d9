"""`export` of an ensemble: each of its models as an ONNX file, in a folder that is an ensemble again."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cytoyolo import console
from cytoyolo.detector import export as exports
from cytoyolo.detector.ensemble_folder import chosen_on, read_ensemble, write_ensemble
from cytoyolo.detector.networks import ONNX
from cytoyolo.errors import UsageError, option
from cytoyolo.files import check_folder, new_folder


def export_ensemble(weights: Path, output: Path, format: str, int8: bool, overwrite: bool) -> None:
    """Write all models of an ensemble for ONNX Runtime. Their weights stay.

    Raises UsageError for another format, and for models that are exports already.
    """
    if int8 or format != ONNX:
        wrong = option("int8", True) if int8 else option("format", format)
        raise UsageError(f"{weights} is an ensemble, whose models are written as ONNX in fp32; leave out {wrong}.")
    if output.suffix.lower() == ".onnx":
        raise UsageError(f"{weights} is an ensemble, and each of its models becomes a file; give a folder as output.")
    check_folder(output, exports.MAKER, overwrite, inputs=(weights,))
    members = read_ensemble(weights)
    for path in (*members.detectors, *members.classifiers):
        if path.suffix.lower() != ".pt":
            raise UsageError(f"{path} is not a checkpoint, and only checkpoints are exported; use {weights} as it is.")
    with (
        tempfile.TemporaryDirectory(prefix="cytoyolo.") as folder,
        new_folder(output, exports.MAKER, overwrite) as made,
    ):
        parts = [_written(paths, Path(folder)) for paths in (members.detectors, members.classifiers)]
        write_ensemble(made, parts[0], parts[1], members.classes, members.weights, chosen_on(weights))


def _written(paths: Sequence[Path], folder: Path) -> dict[str, Path]:
    """Write checkpoints as ONNX files. Returns the files by their names."""
    made = {}
    with console.progress() as bars:
        for path in bars.track(paths, description="Export"):
            made[f"{path.stem}.onnx"] = folder / f"{path.stem}.onnx"
            exports.write_onnx(path, made[f"{path.stem}.onnx"])
    return made
