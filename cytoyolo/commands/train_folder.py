"""The folder of a training (of a detector or a classifier): its manifest and settings, and whether a call may go on
with it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cytoyolo import console
from cytoyolo.detector import train as training
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, call, option
from cytoyolo.files import maker_of, read_bytes, write_text
from cytoyolo.ownership import check_parts
from cytoyolo.shipped import parse_yaml
from cytoyolo.yolo.folder import Dataset, differences

MAKER = "train"
MANIFEST = "manifest.json"
RECIPE = "recipe.yaml"


def is_empty(run: Path, maker: str = MAKER) -> bool:
    """Whether a run of the command `maker` was killed before it held anything worth keeping."""
    return maker_of(run) == maker and not any((run / name).exists() for name in (MANIFEST, training.FOLDER, "weights"))


def training_on(run: Path, dataset: str | Path, epochs: object = "N") -> str:
    """Say how to train a finished run further: with a new training that starts from its last weights."""
    weights = run / "weights" / "last.pt"
    again = call(maker_of(run) or MAKER, dataset, output="NEW", model=weights, epochs=epochs)
    return f"for more epochs, train on from its weights: `{again}`"


def refuse_settings(run: Path, dataset: str | Path, names: list[str]) -> None:
    """Raise UsageError for settings that are given beside --resume."""
    if not names:
        return
    finished = (run / MANIFEST).is_file() and read_manifest(run)["status"] == "finished"
    more = f"; {training_on(run, dataset)}" if finished else ""
    raise UsageError(
        f"{option('resume', True)} goes on with the run's own settings; leave out {', '.join(names)}{more}."
    )


def check_run(run: Path, maker: str) -> None:
    """Raise an error if a folder is no run that the command `maker` can continue."""
    check_parts(run)
    read_manifest(run)
    if (other := maker_of(run)) not in (None, maker):
        raise UsageError(f"{run} was made by `cytoyolo {other}`, not by `cytoyolo {maker}`; give another folder.")


def check_dataset(run: Path, manifest: Mapping[str, Any], data: Dataset) -> None:
    """Raise CytoyoloError if a run was begun on another data set."""
    if others := differences(manifest["dataset"], data.manifest):
        raise CytoyoloError(
            f"{data.folder} is not the data set of {run} ({others[0]} differs); give the data set of the run."
        )


def check_weights(run: Path) -> None:
    """Raise CytoyoloError if the weights of a finished run are missing."""
    for path in (run / "weights" / "best.pt", run / "weights" / "last.pt"):
        if not path.is_file():
            raise CytoyoloError(
                f"{path} is missing, and {run} is finished; put it back, or train anew in another folder, or with "
                f"{OVERWRITE}."
            )


def keeps_a_checkpoint(run: Path, dataset: str | Path) -> bool:
    """On the way out of a broken training: whether it can be resumed, and say so if it can."""
    if training.checkpoint_to_resume(run) is None:
        return False
    again = call(maker_of(run) or MAKER, dataset, output=run, resume=True)
    console.way_on(f"{run} keeps its last complete epoch; the same call continues it, and so does `{again}`.")
    return True


def check_same(
    run: Path, dataset: str | Path, manifest: Mapping[str, Any], resolved: Mapping[str, Any],
    may_be_finished: bool = False,
) -> None:  # fmt: skip
    """Raise UsageError if an existing run was not made by this call (its manifest and settings differ), or if it is
    finished and may not be."""
    before, recipe = read_manifest(run), read_recipe(run)
    finished = before["status"] == "finished"
    other = different_settings(recipe, resolved)
    other += ["the fold"] * (before["fold"] != manifest["fold"])
    other += ["um_per_px"] * (before.get("um_per_px") != manifest.get("um_per_px"))
    other += ["what it starts from"] * (_start(before) != _start(manifest))
    other += ["the data set"] * bool(differences(before["dataset"], manifest["dataset"]))
    if not other and (may_be_finished or not finished):
        return
    if not other:
        raise UsageError(
            f"{run} holds this training, and it is finished (see {run / 'weights'}); to train anew, give another "
            f"folder or {OVERWRITE}; {training_on(run, dataset)}."
        )
    differs = f"that differs in {', '.join(other)}"
    replace = f"give another folder, or {OVERWRITE} to throw it away"
    if not finished:
        own = "DATASET" if "the data set" in other else str(dataset)
        again = call(maker_of(run) or MAKER, own, output=run, resume=True)
        raise UsageError(f"{run} contains an interrupted training {differs}; go on with it by `{again}`, {replace}.")
    more = resolved["epochs"] - recipe.get("epochs", 0)
    advice = f"{replace}; {training_on(run, dataset, more)}" if more > 0 else replace
    raise UsageError(f"{run} contains a finished training {differs}; {advice}.")


def _start(manifest: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return what a training starts from. Weights are identified by their content, whatever their name; networks by
    name."""
    name, content = manifest["start"]["name"], manifest["start"]["sha256"]
    return (None if content and name.endswith(".pt") else name), content


def different_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two trainings, such as "epochs (3, now 5)"; paths of weights may."""
    keys = sorted((before.keys() | now.keys()) - {"model", "pretrained"})
    return [f"{key} ({before.get(key)}, now {now.get(key)})" for key in keys if before.get(key) != now.get(key)]


def read_recipe(run: Path) -> dict[str, Any]:
    """The settings a run was begun with. Raises CytoyoloError if their file is missing or damaged."""
    try:
        recipe = dict(parse_yaml(run / RECIPE, read_bytes(run / RECIPE)))
        if not isinstance(recipe.get("model"), str):
            raise ValueError("the model is missing")
        return recipe
    except (OSError, ValueError, TypeError, CytoyoloError) as error:
        raise CytoyoloError(
            f"{run / RECIPE} is missing or damaged; start the training anew in another folder, or with {OVERWRITE}."
        ) from error


def write_manifest(run: Path, manifest: dict[str, Any]) -> None:
    write_text(run / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def read_manifest(run: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((run / MANIFEST).read_text(encoding="utf-8"))
        if not {"status", "fold"} <= manifest.keys() or ("metrics" in manifest) == (manifest["status"] == "running"):
            raise ValueError("keys are missing")
        if not {"name", "sha256"} <= manifest["start"].keys() or not isinstance(manifest["dataset"], dict):
            raise ValueError("keys are missing")
        if not isinstance(manifest.get("metrics", {}), dict):
            raise ValueError("the metrics are no figures by name")
        return manifest
    except FileNotFoundError as error:
        raise UsageError(
            f"{run} has no run that can be continued; give the folder of an interrupted training."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CytoyoloError(
            f"{run / MANIFEST} is damaged; start the training anew in another folder, or with {OVERWRITE}."
        ) from error


def keep_curves(run: Path, leave: str = "") -> None:
    """Copy the engine's pictures of a training, except those whose names begin with `leave`."""
    engine_folder = run / training.FOLDER
    (run / "curves").mkdir(exist_ok=True)
    for picture in sorted(engine_folder.glob("*.png")) + sorted(engine_folder.glob("*.jpg")):
        if not leave or not picture.name.startswith(leave):
            shutil.copyfile(picture, run / "curves" / picture.name)
