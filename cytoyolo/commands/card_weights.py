"""The card of weights: see `card`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoyolo.commands.card_parts import LIMITS, NOT_KNOWN, TAGS, class_table, fact_table, table
from cytoyolo.commands.train_folder import MANIFEST, RECIPE, read_manifest
from cytoyolo.detector.model_info import DETECT, KINDS, ModelInfo
from cytoyolo.errors import CytoyoloError, UsageError, as_typed, listed, option
from cytoyolo.files import read_bytes
from cytoyolo.shipped import parse_yaml
from cytoyolo.text import counted, one_line

EVALUATION = "evaluation.json"
_PIPELINE = {"detect": "object-detection", "classify": "image-classification"}
# Figures by their names in evaluation.json and in a run's manifest: the hub's type, and what they are called.
_OF_EVALUATION = {
    "precision": ("precision", "Precision"),
    "recall": ("recall", "Recall"),
    "f1": ("f1", "F1"),
    "macro_f1": ("f1", "Macro F1"),
    "class_accuracy": ("accuracy", "Accuracy of the class of found cells"),
}
_OF_RUN = {
    "metrics/precision(B)": ("precision", "Precision"),
    "metrics/recall(B)": ("recall", "Recall"),
    "metrics/mAP50(B)": ("map", "AP50"),
    "metrics/mAP50-95(B)": ("map", "AP50-95"),
    "metrics/accuracy": ("accuracy", "Accuracy"),
    "metrics/macro_f1": ("f1", "Macro F1"),
}


@dataclass(frozen=True)
class _Figures:
    """Figures of a network. Each value has the hub's type and a name. `split` names the images, `about` explains."""

    values: list[tuple[str, str, float]]
    split: str
    about: str


def card_of_weights(
    info: ModelInfo, run: tuple[Mapping[str, Any], Mapping[str, Any]] | None, measured: _Figures | None,
    name: str | None, licence: str | None,
) -> tuple[dict[str, Any], str, list[str]]:  # fmt: skip
    """The metadata and the text of a card of weights, and what is not known."""
    kind, spec = KINDS[info.task], info.spec
    title = name or f"{spec.name if spec else 'Unnamed'} {kind}"
    licence = licence or ("agpl-3.0" if spec else None)  # what trainings of this package write into their weights
    figures = measured or (None if run is None else _figures_of_run(run[0]))
    figures = figures if figures is not None and figures.values else None
    metadata: dict[str, Any] = {
        **({"license": licence} if licence else {}),
        "library_name": "cytoyolo",
        "pipeline_tag": _PIPELINE[info.task],
        "tags": TAGS,
        **({"datasets": [spec.name]} if spec else {}),
    }
    if figures:
        metadata["metrics"] = list(dict.fromkeys(kind for kind, _, _ in figures.values))
        metadata["model-index"] = [_model_index(title, info, figures)]
    classifier = as_typed(option("classifier"))
    call = "predict WEIGHTS images/" if info.task == DETECT else f"predict DETECTOR {classifier} WEIGHTS images/"
    parts = [
        f"# {one_line(title)}\n\nA {kind} of {counted(len(info.codes), 'kind')} of cell on blood smears. {LIMITS}\n",
        f"    cytoyolo {call} -o results/\n",
        "## Classes\n\n" + class_table(info.codes, spec),
        "## Training\n\n" + fact_table(_network_facts(info) | ({} if run is None else _run_facts(*run))),
        *([] if figures is None else ["## Figures\n\n" + _figure_table(figures)]),
    ]
    unknown = [
        "whose blood it is, and whether people agreed to its use",
        "how good it is in another laboratory, with another stain or another camera",
        *([] if licence else ["the licence"]),
        *([] if spec else ["the data set: the weights don't carry its description"]),
        *([] if run else ["the settings and the images of the training: its folder was not at hand"]),
        *([] if figures else ["how good it is at all: there was no evaluation"]),
        *([] if info.calibration else ["what a confidence means as a probability: the weights are not calibrated"]),
        *(["the address of the data set on the hub: `datasets` is the name that the weights carry"] if spec else []),
    ]
    return metadata, "\n".join(parts), unknown


def run_of(weights: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The manifest and the settings of the finished training that made a checkpoint, None if it lies elsewhere."""
    run = weights.absolute().parents[1]
    if weights.suffix != ".pt" or weights.absolute().parent.name != "weights" or not (run / MANIFEST).is_file():
        return None
    manifest = read_manifest(run)
    settings = parse_yaml(run / RECIPE, read_bytes(run / RECIPE))
    if manifest["status"] != "finished" or not isinstance(settings, dict):
        return None
    return manifest, settings


def read_evaluation(path: Path, info: ModelInfo) -> _Figures:
    """The figures of a folder of `evaluate`. Raises an error for anything else, and for figures of other classes."""
    path = path / EVALUATION if path.is_dir() else path
    if not path.is_file():
        raise UsageError(f"{path}: no such file; give the folder that evaluate made.")
    try:
        stored = json.loads(read_bytes(path))
        given, precision = stored["given"], stored["average_precision"]
        values = {str(row["figure"]): row["value"] for row in given["overall"]}
        classes = {str(row["class"]) for row in given["classes"]}
        all_classes = next(row for row in precision if row["class"] == "all")
        threshold, images, cells = float(given["threshold"]), int(stored["images"]), int(stored["cells"])
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise CytoyoloError(f"{path} is damaged, or no evaluation; evaluate the weights again.") from error
    if other := sorted(classes - set(info.codes)):
        raise CytoyoloError(f"{path} is about other classes ({listed(other)}); give the evaluation of these weights.")
    found = [(kind, title, values.get(figure)) for figure, (kind, title) in _OF_EVALUATION.items()]
    found += [("map", title, all_classes.get(figure)) for figure, title in (("ap50", "AP50"), ("ap", "AP50-95"))]
    about = (
        f"{counted(images, 'image')} with {counted(cells, 'true cell')}, as `cytoyolo evaluate` measured them. All "
        f"figures except average precision are of cells from confidence {threshold:g} on. The evaluation does not tell "
        "which weights it judged: whoever wrote this card named it."
    )
    return _Figures([(kind, title, float(value)) for kind, title, value in found if value is not None], "test", about)


def _figures_of_run(manifest: Mapping[str, Any]) -> _Figures:
    """The figures of the validation part that a training stored."""
    stored = manifest.get("metrics") or {}
    values = [(*_OF_RUN[name], float(stored[name])) for name in _OF_RUN if stored.get(name) is not None]
    about = (
        "The validation part of the training. The epoch was chosen by these images, so the figures are slightly too "
        "good."
    )
    return _Figures(values, "validation", about)


def _model_index(title: str, info: ModelInfo, figures: _Figures) -> dict[str, Any]:
    data_set = info.spec.name if info.spec else NOT_KNOWN
    return {
        "name": title,
        "results": [
            {
                "task": {"type": _PIPELINE[info.task]},
                "dataset": {"name": data_set, "type": data_set, "split": figures.split},
                "metrics": [
                    {"type": kind, "value": round(value, 4), "name": title} for kind, title, value in figures.values
                ],
            }
        ],
    }


def _network_facts(info: ModelInfo) -> dict[str, str]:
    """What the weights hold themselves."""
    sizes, facts = info.trained_on, dict[str, str]()
    facts["SHA-256 of the checkpoint"] = f"`{info.sha256}`"
    facts["Arithmetic"] = info.precision
    facts["Side of the network's input"] = NOT_KNOWN if info.imgsz is None else f"{info.imgsz} px"
    facts["Median size of the images"] = NOT_KNOWN if sizes is None else f"{sizes.width:g} x {sizes.height:g} px"
    facts["Median side of the boxes"] = NOT_KNOWN if sizes is None else f"{sizes.box_sides[1]:g} px"
    known = sizes is not None and sizes.um_per_px is not None
    facts["Width of a pixel"] = f"{sizes.um_per_px:g} um" if sizes is not None and known else NOT_KNOWN
    return facts


def _run_facts(manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """What the folder of a training holds. No path and no name of a file of the user's is told."""
    data, versions = manifest["dataset"], manifest["versions"]
    return {
        "Images": f"{data['images']:,}",
        "Boxes": ", ".join(f"{one_line(code)} {count:,}" for code, count in data["boxes"].items()),
        "Images show groups": "in whole groups (slides, patients)" if data.get("groups") else "no groups were given",
        "Recipe": one_line(Path(str(manifest["recipe"])).name),
        "Start": one_line(str(manifest["start"]["name"])),
        "Epochs, batch, side, seed": ", ".join(
            str(settings.get(key, NOT_KNOWN)) for key in ("epochs", "batch", "imgsz", "seed")
        ),
        "Finished": str(manifest.get("finished", NOT_KNOWN)),
        "Versions": ", ".join(f"{key} {versions[key]}" for key in ("cytoyolo", "ultralytics", "torch")),
    }


def _figure_table(figures: _Figures) -> str:
    return f"{figures.about}\n\n" + table(["figure", "value"], [[one, f"{two:.4f}"] for _, one, two in figures.values])
