"""The finished cross-validations that an ensemble is made of: of detectors, or of classifiers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cytoyolo.commands.crossval_folder import MANIFEST, OOF
from cytoyolo.commands.fold_tables import LAST, check_unchanged
from cytoyolo.commands.train_classifier_folds import SUMMARY
from cytoyolo.documents import read_json
from cytoyolo.errors import CytoyoloError, UsageError, call
from cytoyolo.spec import DataSpec, parse_spec


@dataclass(frozen=True)
class Run:
    """A finished cross-validation: the models of its folds, its table of out-of-fold predictions, and its classes.

    `trained_on` has the SHA-256 of the images ("images") and of the label table ("labels"), if they are known.
    """

    folder: Path
    classifies: bool
    models: tuple[Path, ...]
    oof: Path
    spec: DataSpec
    trained_on: dict[str, str]


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
        status, folds, dataset = stored["status"], int(stored["folds"]), stored["dataset"]
        spec = parse_spec(dataset["spec"])
        known = {"images": dataset.get("images_sha256"), "labels": dataset.get("labels", {}).get("sha256")}
        trained_on = {what: str(sha256) for what, sha256 in known.items() if sha256}
        hashes = stored["weights_sha256"] if status == "finished" else []
        if status == "finished" and len(hashes) != folds:
            raise ValueError("fingerprints are missing")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CytoyoloError(f"{path} is damaged ({error}); train the folds again.") from error
    if status != "finished":
        raise CytoyoloError(f"{folder} is not finished; the call that began it continues it.")
    models = tuple(folder / f"fold{fold}" / LAST for fold in range(folds))
    for model, sha256 in zip(models, hashes, strict=True):
        check_unchanged(model, sha256)
    if sha256 := stored.get("oof_sha256"):
        check_unchanged(folder / OOF, sha256)
    return Run(folder, kinds[SUMMARY] and not kinds[MANIFEST], models, folder / OOF, spec, trained_on)


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Return what is known of two trainings ("images", "labels") and is not the same."""
    return [what for what in one if what in other and one[what] != other[what]]
