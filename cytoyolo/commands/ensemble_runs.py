"""The finished cross-validations that an ensemble is made of: of detectors, or of classifiers."""

from dataclasses import dataclass
from pathlib import Path

from cytoyolo.commands.crossval_folder import LAST, MANIFEST, OOF
from cytoyolo.commands.train_classifier_folds import SUMMARY
from cytoyolo.documents import read_json
from cytoyolo.errors import CytoyoloError, UsageError, call
from cytoyolo.spec import DataSpec, parse_spec
from cytoyolo.tables.table import fingerprint


@dataclass(frozen=True)
class Run:
    """A finished cross-validation: the models of its folds, its table of out-of-fold predictions, and its classes."""

    folder: Path
    classifies: bool
    models: tuple[Path, ...]
    oof: Path
    spec: DataSpec


def read_run(folder: Path) -> Run:
    """Read the folder of `crossval`, or of `train-classifier` with folds.

    Raises UsageError for another folder, and CytoyoloError if it is not finished, is damaged, or a file has changed.
    """
    kinds = {name: (folder / name).is_file() for name in (MANIFEST, SUMMARY)}
    if not any(kinds.values()):
        raise UsageError(
            f"{folder} is neither a folder of `cytoyolo crossval` nor one of "
            f"`{call('train-classifier', 'DATASET', output='CELLS', folds=True)}`; give such a folder."
        )
    path = folder / (MANIFEST if kinds[MANIFEST] else SUMMARY)
    stored = read_json(path)
    try:
        status, folds, spec = stored["status"], int(stored["folds"]), parse_spec(stored["dataset"]["spec"])
        hashes = stored["weights_sha256"] if status == "finished" else []
        if status == "finished" and len(hashes) != folds:
            raise ValueError("fingerprints are missing")
    except (ValueError, KeyError, TypeError) as error:
        raise CytoyoloError(f"{path} is damaged ({error}); train the folds again.") from error
    if status != "finished":
        raise CytoyoloError(f"{folder} is not finished; the call that began it continues it.")
    models = tuple(folder / f"fold{fold}" / LAST for fold in range(folds))
    for model, sha256 in zip(models, hashes, strict=True):
        if fingerprint(model) != sha256:
            raise CytoyoloError(f"{model} has changed since the folds were finished; train the folds again.")
    return Run(folder, kinds[SUMMARY] and not kinds[MANIFEST], models, folder / OOF, spec)
