"""The card of a data set: see `card`."""

from typing import Any

import numpy as np

from cytoyolo.commands.card_parts import LIMITS, TAGS, class_table, fact_table
from cytoyolo.text import one_line
from cytoyolo.yolo import folder as yolo
from cytoyolo.yolo.folder import Dataset
from cytoyolo.yolo.verify import read_listing

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card_of_data_set(
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
        "tags": TAGS,
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
        f"# {one_line(title)}\n\nBlood smears with boxes and classes of cells, in the form of YOLO. {LIMITS}\n",
        "## Classes\n\n" + class_table(spec.codes, spec, manifest["boxes"]),
        "## Parts and making\n\n" + fact_table(facts),
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
