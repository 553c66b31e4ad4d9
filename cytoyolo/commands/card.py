"""`card`: describe weights, or a data set, in the form of the Hugging Face hub: a README with YAML before it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cytoyolo.commands.card_data_set import card_of_data_set
from cytoyolo.commands.card_weights import card_of_weights, read_evaluation, run_of
from cytoyolo.detector.calibrated_weights import model_info
from cytoyolo.errors import OVERWRITE, UsageError, option, reworded
from cytoyolo.files import check_place, read_bytes, write_text
from cytoyolo.shipped import weights_path
from cytoyolo.yolo import folder as yolo
from cytoyolo.yolo.folder import load_dataset

# By this line a card is known again, so that nothing else is overwritten.
MARK = "<!-- This card was written by `cytoyolo card`. -->"
_WANTED = "give such a folder, a folder of `cytoyolo convert`, or a file of weights such as a run's best.pt"


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
        metadata, text, unknown = card_of_data_set(load_dataset(path), name, licence)
    else:
        weights = weights_path(source)
        with reworded({"give such a folder, or a file": _WANTED}):
            info = model_info(weights)
        measured = None if evaluation is None else read_evaluation(Path(evaluation), info)
        metadata, text, unknown = card_of_weights(info, run_of(weights), measured, name, licence)
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
