"""The forms of label files: their names, and how one is recognised, read and written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cytoyolo.annotations.formats import (
    coco,
    cvat,
    geojson,
    labelled_tables,
    labelme,
    labelstudio,
    voc,
    yolo,
    yolo_folder,
)
from cytoyolo.annotations.formats.annotations import Annotations
from cytoyolo.annotations.formats.source import Source
from cytoyolo.defaults import LabelSource
from cytoyolo.errors import CytoyoloError, check_choice, option
from cytoyolo.tables.kinds import kind_of

# What a form may have no place for.
Part = Literal["ignore regions", "confidences", "tags", "parts of boxes far outside their image"]


@dataclass(frozen=True)
class Format:
    """A form of label files.

    Attributes
    ----------
    name : str
        The word that chooses it.
    title : str
        What sentences call it.
    recognises : function
        Tells by bytes or names of files whether a source has this form.
    read : function
        Reads a source. The folder of the images is given too, if the user names it.
    write : function or None
        Writes annotations to a path that does not exist yet.
    is_folder : bool
        Whether `write` fills a folder.
    images : str
        The sub-folder of that folder in which the form wants the images, "" if they may stay where they are.
    lacks : tuple of str
        What the form has no place for, so that `write` leaves it out.
    """

    name: str
    title: str
    recognises: Callable[[Source], bool]
    read: Callable[[Path, Path | None], Annotations]
    write: Callable[[Annotations, Path], None] | None = None
    is_folder: bool = False
    images: str = ""
    lacks: tuple[Part, ...] = ()


_FORMATS = (
    Format("coco", "COCO (JSON)", coco.recognises, lambda path, images: coco.read(path), coco.write),
    Format(
        "yolo", "a YOLO folder", yolo_folder.is_yolo, yolo.read, yolo.write, True, "images",
        ("ignore regions", "tags", "parts of boxes far outside their image"),
    ),
    Format(
        "voc", "Pascal VOC (XML)", voc.recognises, lambda path, images: voc.read(path), voc.write, True, "JPEGImages",
        ("confidences", "tags"),
    ),
    Format("cvat", "CVAT for images", cvat.recognises, lambda path, images: cvat.read(path), cvat.write, True),
    Format("labelstudio", "Label Studio", labelstudio.recognises, labelstudio.read, labelstudio.write, True),
    Format("labelme", "LabelMe", labelme.recognises, lambda path, images: labelme.read(path), labelme.write, True),
    Format("geojson", "GeoJSON", geojson.recognises, lambda path, images: geojson.read(path), geojson.write, True),
    Format("table", "a table of boxes", labelled_tables.recognises, labelled_tables.read),
)  # fmt: skip
FORMATS = {form.name: form for form in _FORMATS}


def format_of(path: Path, name: str = "auto") -> Format:
    """Return the form of a source.

    Parameters
    ----------
    path : Path
        The file or folder.
    name : str
        The name of a form (`defaults.LabelSource`), or "auto" to look for the form that fits.

    Raises
    ------
    UsageError
        If there is no such file or no such form.
    CytoyoloError
        If no form fits, or more than one.
    """
    check_choice("format", name, LabelSource)
    source = Source(path)
    fitting = [form for form in FORMATS.values() if form.recognises(source)]
    if name != "auto":
        # A folder of tables may hold anything else, and its columns may have any names.
        if fitting and FORMATS[name] not in fitting and not (name == "table" and source.is_folder):
            title, other = fitting[0].title, option("format", fitting[0].name)
            raise CytoyoloError(f"{path} is {title}, not {FORMATS[name].title}; give {other}.")
        return FORMATS[name]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(form.name for form in fitting or FORMATS.values())
    choice = f"choose one with {option('format')} ({names})"
    if fitting:
        raise CytoyoloError(f"{path} may be {' or '.join(form.title for form in fitting)}; {choice}.")
    if not source.files and not source.data.strip():
        remedy = "give the folder with the labels" if source.is_folder else "export it again"
        raise CytoyoloError(f"{path} is empty; {remedy}.")
    if kind := kind_of(source.data):
        if "archive" in kind or "compressed" in kind:
            raise CytoyoloError(f"{path} is {kind}; unpack it and give its folder.")
        raise CytoyoloError(f"{path} is {kind}, which is not read; export the labels in another form ({names}).")
    raise CytoyoloError(f"{path} is in no form of labels that is recognised; {choice}.")
