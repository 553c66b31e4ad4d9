"""`predict`: submission rows for a test table, or detections, pictures and the differential for everyday images."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.annotations.labels import leads_out
from cytoyolo.commands.predict_folder import MAKER, PredictionFolder
from cytoyolo.commands.predict_sources import Images, find_images, find_table
from cytoyolo.commands.predict_warnings import Warnings
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.ensemble import Ensemble
from cytoyolo.detector.journal import RESULT, partial_folder
from cytoyolo.detector.predict import DEFAULT_CONF, DEFAULT_IOU, MAX_DETECTIONS, Detector, Found, Model
from cytoyolo.detector.search import Call, searched
from cytoyolo.detector.table import detection_columns, detection_tables, listing
from cytoyolo.errors import CytoyoloError, UsageError, listed, option
from cytoyolo.files import check_folder, same_content
from cytoyolo.images.decoding import max_pixels
from cytoyolo.images.folder import folder_files, match_in_folder, note_renamed
from cytoyolo.images.info import check_image_folder
from cytoyolo.machine import __version__
from cytoyolo.scoring.check import row_faults
from cytoyolo.scoring.rows import fill
from cytoyolo.scoring.table_kinds import TEST, kind_named
from cytoyolo.spec import DataSpec, load_spec, matching_spec
from cytoyolo.tables.table import (
    SUBMISSION_ROLES,
    TEST_ROLES,
    XYXY,
    check_writable,
    fingerprint,
    read_table,
    refuse,
    write_table,
)

SUBMISSION_CONF = 1e-5  # every test row wants a box, so nearly all are kept; the third place's setting
EVERYDAY_CONF = DEFAULT_CONF
# With a test table, boxes from this confidence on are listed with their probabilities, beside those that are its rows.
LISTED_CONF = 0.01
# The columns of detections that a submission's rows are made of.
_ROW = ["image", *XYXY, "class"]


@dataclass(frozen=True)
class Predicted:
    """What `predict` made: the output, images read, boxes or rows written, rows left to the fallback.

    `failures` says by image why it can't be used; `warnings` says by image what its boxes may lack.
    """

    output: Path
    images: int
    rows: int
    fallback_rows: int
    failures: dict[str, str]
    warnings: dict[str, str]
    differential: pd.DataFrame | None = None


def predict(
    weights: str | Path | Sequence[str | Path],
    source: str | Path | Sequence[str | Path],
    *,
    output: str | Path,
    images: str | Path | None = None,
    conf: float | None = None,
    iou: float = DEFAULT_IOU,
    imgsz: int | None = None,
    batch: int | None = None,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    max_det: int | None = None,
    model_weights: Sequence[float] | None = None,
    tta: Sequence[str] = (),
    dataset: str | Path | None = None,
    fallback: str | None = None,
    probabilities: bool = False,
    pictures: bool = True,
    flat: bool = False,
    overwrite: bool = False,
) -> Predicted:
    """Predict with trained weights: a checkpoint, an ONNX file or an OpenVINO folder, or several of them, fused.

    With a test table (.csv) as source and its image folder: one submission row a test row, in its order, as METHOD of
    the third place has it (confidence from 1e-5, class-agnostic NMS at IoU 0.4, best boxes first, `fallback` class for
    a row without a box). With images or folders: a folder with detections.csv, annotated pictures and the leukocyte
    differential (confidence from 0.25); sub-folders are searched too, unless `flat`, and an image is named by its path
    in the folder that holds all. `probabilities` adds those of all classes to each detection; with a test table
    they are in a second one, OUTPUT.detections.csv. Several weights, or views of each image (`tta`: hflip, vflip), are
    joined by weighted boxes fusion. `max_det` is the most boxes kept of an image: 300, and with a test table at least
    as many as the image has rows. Bad images are listed in the result and in failures.csv; the others go on. Images
    with more boxes than are kept, and fields far larger than the network's input, are listed in warnings.csv. With a
    test table these two are OUTPUT.failures.csv and OUTPUT.warnings.csv. What is found is kept beside the output until
    it is done, so that the same call goes on after an interruption.
    dataset says whose classes the weights must have; by default the description that came with them is taken.
    Raises UsageError for a wrong call and CytoyoloError for weights or tables that can't be used.
    """
    sources = [Path(one) for one in ([source] if isinstance(source, str | Path) else source)]
    if not sources:
        raise UsageError("there is nothing to search; give a test table (.csv), images or folders of images.")
    table, output = find_table(sources), Path(output)
    _check_call(sources[0], table is not None, {"images": images, "fallback": fallback}, pictures, flat)
    wanted = None if dataset is None else load_spec(dataset)
    several = [weights] if isinstance(weights, str | Path) else list(weights)
    if not several:
        raise UsageError("there are no weights to predict with; give a checkpoint or an export, or several.")
    standard = EVERYDAY_CONF if table is None else SUBMISSION_CONF
    settings: dict[str, Any] = {"conf": standard if conf is None else conf, "iou": iou, "imgsz": imgsz, "batch": batch}
    settings |= {"backend": backend, "device": device, "threads": threads}
    settings["max_detections"] = MAX_DETECTIONS if max_det is None else max_det
    if table is not None:
        check_image_folder(Path(images or ""))
    else:
        found = find_images(sources, flat)
        begun = partial_folder(output).exists()  # it may have put its output there already
        check_folder(output, MAKER, overwrite or begun, inputs=(*sources, *several))
    detectors = [Detector(one, **settings) for one in several]
    model: Model = detectors[0]
    if len(detectors) > 1 or tta or model_weights is not None:
        most = sys.maxsize if max_det is None else max_det
        model = Ensemble(detectors, weights=model_weights, views=tta, max_detections=most)
    spec = _describe(model, wanted, several[0])
    facts = {
        "version": __version__, "weights": [_sha256(Path(one)) for one in several],
        "model": [one.label for one in detectors], "model weights": model_weights, "tta": tta,
        "conf": settings["conf"], "iou": iou, "batch": model.batch, "imgsz": [one.imgsz for one in detectors],
        "probabilities": probabilities, "most pixels": max_pixels(),
        **({} if max_det is None else {"max det": max_det}),
    }  # fmt: skip
    call = Call(model, output, overwrite, probabilities, facts)
    if table is not None:
        return _predict_table(call, spec, table, Path(images or ""), fallback, settings["max_detections"])
    warnings = Warnings.of(model, settings["max_detections"], listed_from=settings["conf"])
    return _predict_images(call, spec or _plain_spec(model.codes), found, pictures, warnings)


def _sha256(weights: Path) -> list[str]:
    """Of the file, or of a folder's files: two exports of one checkpoint may differ."""
    files = sorted(path for path in weights.iterdir() if path.is_file()) if weights.is_dir() else [weights]
    return [fingerprint(path) for path in files]


def _check_call(source: Path, is_table: bool, table_only: dict[str, object], pictures: bool, flat: bool) -> None:
    if is_table and table_only["images"] is None:
        raise UsageError(f"a test table needs {option('images')}, the folder of its images.")
    if is_table and not pictures:
        raise UsageError(
            f"{option('pictures', False)} goes with an image or a folder; a test table has no pictures anyway."
        )
    if is_table and flat:
        raise UsageError(f"{option('flat', True)} goes with a folder; a test table names its images itself.")
    for name, value in table_only.items():
        if value is not None and not is_table:
            raise UsageError(f"{option(name)} goes with a test table (.csv), and {source} is none.")


def _describe(model: Model, wanted: DataSpec | None, weights: str | Path) -> DataSpec | None:
    """The data set the weights are for: the one asked for, the one they carry, or a shipped one with their classes."""
    if wanted is None:
        return model.spec or matching_spec(model.codes)
    if set(wanted.codes) != set(model.codes):
        raise CytoyoloError(
            f"{weights} knows the classes {listed(list(model.codes), 6)}, and data set '{wanted.name}' has "
            f"{listed(list(wanted.codes), 6)}; give weights that were trained for it."
        )
    return wanted


def _predict_table(
    call: Call, spec: DataSpec | None, source: Path, images: Path, fallback: str | None, limit: int
) -> Predicted:
    output, codes = call.output, call.model.codes
    fallback = _fallback(fallback, spec, codes)
    spec = spec or load_spec("cytologia")  # for the challenge's column names only
    details, failures = output.with_suffix(".detections.csv"), output.with_suffix(".failures.csv")
    warned = output.with_suffix(".warnings.csv")
    headers = {output: spec.column_list(*SUBMISSION_ROLES), failures: [spec.columns["image"], "problem"]}
    headers[warned] = Warnings.columns(spec.columns["image"])
    if call.probabilities:
        headers[details] = detection_columns(spec, codes, True)
    elif os.path.lexists(details):
        raise UsageError(
            f"{details} would stand beside an output it is not of; give {option('probabilities', True)}, or move it."
        )
    _check_tables(headers, call.overwrite or partial_folder(output).exists())
    remedy = f"to predict the images it names, give their folder {images}"
    with kind_named(source, spec, TEST, {"": remedy}):
        test = read_table(source, spec, TEST_ROLES)
    refuse(source, row_faults(test, spec), "mend or delete them", test)
    # Images are searched, and kept in the journal, by the paths of their files; tables have the names of the test's.
    searched_as = _files_meant(source, test, images)
    asked = test.assign(image=test["image"].map(searched_as))
    named = {file: name for name, file in reversed(searched_as.items())}
    wanted = Counter(asked["image"])
    if not call.probabilities:
        call.model.max_detections = 1  # the rows need no more, and they are found sooner
    call.model.keep_at_least(max(wanted.values()))
    # Of rows without a table of detections none is missing: an image gets as many boxes as it has rows.
    warnings = Warnings.of(call.model, max(limit, *wanted.values()), LISTED_CONF if call.probabilities else 1)
    call.facts["source"] = fingerprint(source)

    def rows_of(name: str, one: Found) -> Detections:
        kept = (one.detections.confidence >= LISTED_CONF) & call.probabilities
        kept[: wanted[name]] = True
        return one.detections.take(kept)

    strictly = partial(_check_tables, headers, call.overwrite)
    with searched(call, str(source), images, list(wanted), rows_of, strictly) as journal:
        made = {path: partial_folder(output) / RESULT / path.name for path in headers}
        shutil.rmtree(made[output].parent, ignore_errors=True)
        best = []
        with listing(made[details], spec, codes, True) if call.probabilities else nullcontext() as add:
            for some, found in detection_tables(journal.entries(), codes, call.probabilities):
                warnings.look(some)
                best.append(found[found.groupby("image").cumcount() < found["image"].map(wanted)][_ROW])
                if add:
                    add(found.assign(image=found["image"].map(named)))
        rows, unfilled = fill(asked, pd.concat(best), fallback)
        rows["image"] = test["image"].to_numpy()
        write_table(made[output], rows.rename(columns=spec.columns))
        if bad := {named[file]: problem for file, problem in journal.failures.items()}:
            write_table(made[failures], pd.DataFrame(bad.items(), columns=headers[failures]))
        warnings.of_image = {named[file]: said for file, said in warnings.of_image.items()}
        if warnings.of_image:
            write_table(made[warned], warnings.table(spec.columns["image"]))
        _place_tables(made, headers, call.overwrite)
    warnings.say()
    return Predicted(output, len(wanted) - len(bad), len(rows), unfilled, bad, warnings.of_image)


def _files_meant(source: Path, test: pd.DataFrame, images: Path) -> dict[str, str]:
    """The file below the image folder that each name of a test table means; a name that means none stands for itself.

    Raises CytoyoloError where such a name would lead out of the folder.
    """
    names, listing = test["image"].unique().tolist(), frozenset(folder_files(images))
    found = match_in_folder(names, listing)
    lost = test["image"].isin([name for name in found.candidates if leads_out(name)])
    faults = {int(row): f"no image of the folder is meant by {test['image'].iloc[row]}" for row in np.flatnonzero(lost)}
    refuse(source, faults, f"correct these names, or give {option('images')} the folder that holds the files", test)
    note_renamed({name: found.file[name] for name in found.how})
    return {name: found.file.get(name, name) for name in names}


def _check_tables(headers: Mapping[Path, list[str]], overwrite: bool) -> None:
    for path, header in headers.items():
        check_writable(path, header, overwrite)


def _place_tables(made: Mapping[Path, Path], headers: Mapping[Path, list[str]], overwrite: bool) -> None:
    """Give tables their places, except those that have them since a call that was killed."""
    missing = {path: one for path, one in made.items() if not same_content(one, path)}
    _check_tables({path: headers[path] for path in missing}, overwrite)  # again: something may have come meanwhile
    for path, one in missing.items():
        if one.exists():
            one.replace(path)
        else:
            path.unlink(missing_ok=True)  # failures of the output just replaced


def _predict_images(call: Call, spec: DataSpec, found: Images, pictures: bool, warnings: Warnings) -> Predicted:
    folder, names, model = found.folder, found.names, call.model
    found.say()
    shown = pictures, call.probabilities
    everyday = PredictionFolder(call.output, folder, names, spec, model.codes, *shown, model.white, warnings)

    def drawn(name: str, one: Found) -> Detections:
        everyday.draw(name, one.image, one.detections, one.problem)
        return one.detections

    call.facts["pictures"] = pictures
    strictly = partial(check_folder, call.output, MAKER, call.overwrite)
    with searched(call, found.shown, folder, names, drawn, strictly) as journal:
        images, bad = len(names) - len(journal.failures), dict(sorted((journal.failures | found.problems).items()))
        made = everyday.write(journal.entries(), bad)
        everyday.place(call.overwrite)
    warnings.say()
    return Predicted(call.output, images, made.rows, 0, bad, warnings.of_image, made.differential)


def _fallback(wanted: str | None, spec: DataSpec | None, codes: tuple[str, ...]) -> str:
    """The class of a row without a box: the one asked for, else that of the data set."""
    if wanted is not None:
        if wanted not in codes:
            raise UsageError("fallback", wanted, f"the weights know {listed(list(codes), 30)}; give one of these")
        return wanted
    if spec is None:
        raise UsageError(
            f"these weights don't say which class a row without a box gets; give {option('fallback', 'CLASS')}."
        )
    return spec.fallback


def _plain_spec(codes: tuple[str, ...]) -> DataSpec:
    """What is known of weights that were trained elsewhere, for classes that no data set of this package has."""
    challenge = load_spec("cytologia")
    return DataSpec("unknown", codes, codes, (True,) * len(codes), codes[0], challenge.columns)
