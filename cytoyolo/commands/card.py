"""`card`: describe weights, or a data set, in the form of the Hugging Face hub: a README with YAML before it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cytoyolo.commands.train_folder import MANIFEST, RECIPE, read_manifest
from cytoyolo.detector.calibrated_weights import model_info
from cytoyolo.detector.model_info import DETECT, KINDS, ModelInfo
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, as_typed, listed, option
from cytoyolo.files import check_place, read_bytes, write_text
from cytoyolo.shipped import parse_yaml, weights_path
from cytoyolo.spec import DataSpec
from cytoyolo.text import counted, one_line
from cytoyolo.yolo import folder as yolo
from cytoyolo.yolo.folder import Dataset, load_dataset
from cytoyolo.yolo.verify import read_listing

# By this line a card is known again, so that nothing else is overwritten.
MARK = "<!-- This card was written by `cytoyolo card`. -->"
EVALUATION = "evaluation.json"
_TAGS = ["cytoyolo", "blood-smear", "hematology", "leukocyte", "microscopy", "yolo"]
_PIPELINE = {"detect": "object-detection", "classify": "image-classification"}
_NOT_KNOWN = "not known"
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
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LIMITS = "It is for research. It is not a medical device. A trained person must look at each cell that matters."


@dataclass(frozen=True)
class Card:
    """The result of `card`.

    Attributes
    ----------
    output : Path
        The card.
    metadata : dict
        What stands in the YAML before the text.
    unknown : list of str
        What the card says is not known.
    """

    output: Path
    metadata: dict[str, Any]
    unknown: list[str]


@dataclass(frozen=True)
class _Figures:
    """Figures of a network. Each value has the hub's type and a name. `split` names the images, `about` explains."""

    values: list[tuple[str, str, float]]
    split: str
    about: str


def card(
    source: str | Path,
    *,
    output: str | Path,
    evaluation: str | Path | None = None,
    name: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
) -> Card:
    """Write a card of weights, or of a data set: a README in the form of the Hugging Face hub.

    Only what the files hold is said. The card lists what is not known. Nothing is uploaded.

    Parameters
    ----------
    source : str or Path
        Weights (a checkpoint, an ONNX file, an OpenVINO folder, or a name of the package), or a folder of `convert`.
        If a checkpoint lies in the folder of its training, the card tells of the training too.
    output : str or Path
        The card to write, such as README.md.
    evaluation : str or Path, optional
        The folder that `evaluate` made with these weights. Its figures stand in the card.
    name : str, optional
        The title of the card. By default the name of the data set, and what it is.
    licence : str, optional
        The licence, by its name on the hub, such as "cc-by-4.0". By default the licence that the weights carry; the
        licence of a data set is not known.
    overwrite : bool
        Replace an existing card.

    Returns
    -------
    Card

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For weights, a data set or an evaluation that can't be used.

    Examples
    --------
    >>> import cytoyolo
    >>> cytoyolo.card("best.pt", output="README.md").metadata["pipeline_tag"]
    'object-detection'
    """
    path, place = Path(source), Path(output)
    _check_output(place, overwrite)
    if (path / yolo.MANIFEST).is_file():
        if evaluation is not None:
            raise UsageError(f"{option('evaluation')} is about weights, and {path} is a data set; leave it out.")
        metadata, text, unknown = _of_data_set(load_dataset(path), name, licence)
    else:
        weights = weights_path(source)
        info = model_info(weights)
        measured = None if evaluation is None else _read_evaluation(Path(evaluation), info)
        metadata, text, unknown = _of_weights(info, _run_of(weights), measured, name, licence)
    head = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1_000)
    missing = "".join(f"- {one}\n" for one in unknown)
    write_text(place, f"---\n{head}---\n\n{MARK}\n\n{text}\n## What is not known\n\n{missing}")
    return Card(place, metadata, unknown)


def _check_output(path: Path, overwrite: bool) -> None:
    """Raise UsageError for a place where no card can be written."""
    check_place(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file.")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; give another name or {OVERWRITE}.")
    if path.suffix.lower() != ".md":
        raise UsageError(f"{path} is not the name of a card; give a name that ends in .md, such as README.md.")
    if path.exists() and MARK.encode() not in read_bytes(path):
        raise UsageError(f"{path} is not a card that this command made; give another name.")


def _run_of(weights: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The manifest and the settings of the finished training that made a checkpoint, None if it lies elsewhere."""
    run = weights.absolute().parents[1]
    if weights.suffix != ".pt" or weights.absolute().parent.name != "weights" or not (run / MANIFEST).is_file():
        return None
    manifest = read_manifest(run)
    settings = parse_yaml(run / RECIPE, read_bytes(run / RECIPE))
    if manifest["status"] != "finished" or not isinstance(settings, dict):
        return None
    return manifest, settings


def _read_evaluation(path: Path, info: ModelInfo) -> _Figures:
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


def _of_weights(
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
        "tags": _TAGS,
        **({"datasets": [spec.name]} if spec else {}),
    }
    if figures:
        metadata["metrics"] = list(dict.fromkeys(kind for kind, _, _ in figures.values))
        metadata["model-index"] = [_model_index(title, info, figures)]
    classifier = as_typed(option("classifier"))
    call = "predict WEIGHTS images/" if info.task == DETECT else f"predict DETECTOR {classifier} WEIGHTS images/"
    parts = [
        f"# {one_line(title)}\n\nA {kind} of {counted(len(info.codes), 'kind')} of cell on blood smears. {_LIMITS}\n",
        f"    cytoyolo {call} -o results/\n",
        "## Classes\n\n" + _classes(info.codes, spec),
        "## Training\n\n" + _facts(_network_facts(info) | ({} if run is None else _run_facts(*run))),
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


def _model_index(title: str, info: ModelInfo, figures: _Figures) -> dict[str, Any]:
    data_set = info.spec.name if info.spec else _NOT_KNOWN
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
    facts["Side of the network's input"] = _NOT_KNOWN if info.imgsz is None else f"{info.imgsz} px"
    facts["Median size of the images"] = _NOT_KNOWN if sizes is None else f"{sizes.width:g} x {sizes.height:g} px"
    facts["Median side of the boxes"] = _NOT_KNOWN if sizes is None else f"{sizes.box_sides[1]:g} px"
    known = sizes is not None and sizes.um_per_px is not None
    facts["Width of a pixel"] = f"{sizes.um_per_px:g} um" if sizes is not None and known else _NOT_KNOWN
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
            str(settings.get(key, _NOT_KNOWN)) for key in ("epochs", "batch", "imgsz", "seed")
        ),
        "Finished": str(manifest.get("finished", _NOT_KNOWN)),
        "Versions": ", ".join(f"{key} {versions[key]}" for key in ("cytoyolo", "ultralytics", "torch")),
    }


def _of_data_set(
    data: Dataset, name: str | None, licence: str | None
) -> tuple[dict[str, Any], str, list[str]]:  # fmt: skip
    """The metadata and the text of a card of a YOLO folder, and what is not known."""
    spec, manifest, listing = data.spec, data.manifest, read_listing(data)
    title = name or spec.name
    metadata: dict[str, Any] = {
        **({"license": licence} if licence else {}),
        "pretty_name": title,
        "task_categories": ["object-detection"],
        "size_categories": [next((size for most, size in _SIZES if len(listing) < most), "n>1M")],
        "tags": _TAGS,
    }
    parts = np.bincount(listing["part"].to_numpy(np.int64), minlength=2)
    names = [f"fold {part}" for part in range(len(parts))] if manifest["folds"] else ["train", "validation"]
    tiles = manifest.get(yolo.TILES)
    facts = {
        "Images": f"{manifest['images']:,}" + (f", cut into {len(listing):,} tiles" if tiles else ""),
        **{f"Images of {part}": f"{count:,}" for part, count in zip(names, parts.tolist(), strict=True)},
        "Groups": "whole groups (slides, patients) in one part" if manifest.get("groups") else "no groups were given",
        "Repaired": "yes, see `changes.csv`" if manifest["repair"] else "no",
        "Ignore regions": f"{manifest.get('masks', 0):,}, painted over",
        "SHA-256 of the label table": f"`{manifest['labels']['sha256']}`",
        "SHA-256 of the images": f"`{manifest['images_sha256']}`",
        "Made by": f"cytoyolo {manifest['cytoyolo']}",
    }
    structure = (
        "`images/` has the images, and `labels/` a text file for each image: a line for each box with the class id and "
        "the centre x, centre y, width and height as shares of the image's size. `data.yaml` has the classes by id, "
        "and `images.csv` the part of each image.\n"
    )
    text = [
        f"# {one_line(title)}\n\nBlood smears with boxes and classes of cells, in the form of YOLO. {_LIMITS}\n",
        "## Classes\n\n" + _classes(spec.codes, spec, manifest["boxes"]),
        "## Parts and making\n\n" + _facts(facts),
        "## Structure\n\n" + structure,
    ]
    unknown = [
        "where the images are from, and how they were stained and photographed",
        "whose blood it is, and whether people agreed to its use",
        "who labelled the cells, and how often two readers disagree",
        *([] if licence else ["the licence: ask the owner of the images before you share them"]),
        *([] if manifest.get("groups") else ["which images are of one patient or slide"]),
    ]
    return metadata, "\n".join(text), unknown


def _classes(codes: Sequence[str], spec: DataSpec | None, boxes: Mapping[str, int] | None = None) -> str:
    """A table of the classes, with the number of boxes if it is known."""
    head = ["id", "code", "name", "leukocyte", "flag", *([] if boxes is None else ["boxes"])]
    rows = []
    for number, code in enumerate(codes):
        told = [_NOT_KNOWN] * 3
        if spec is not None:
            told = [spec.names[number], "yes" if spec.leukocyte[number] else "no", spec.flags[number]]
        rows.append([str(number), code, *told, *([] if boxes is None else [f"{boxes[code]:,}"])])
    return _table(head, rows)


def _figure_table(figures: _Figures) -> str:
    return f"{figures.about}\n\n" + _table(["figure", "value"], [[one, f"{two:.4f}"] for _, one, two in figures.values])


def _facts(facts: Mapping[str, str]) -> str:
    return _table(["fact", "value"], [[name, value] for name, value in facts.items()])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown. What a cell holds is shown as it is, in one line."""
    lines = [head, ["---"] * len(head), *([one_line(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
