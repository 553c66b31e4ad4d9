"""`submit`: the rows of a submission for a test table."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd

from cytoyolo import defaults
from cytoyolo.annotations.labels import leads_out
from cytoyolo.commands.predict_sources import refuse_images
from cytoyolo.commands.predict_warnings import Warnings
from cytoyolo.commands.submit_tables import SubmissionTables
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.inference import (
    InferenceSettings,
    box_limit,
    complete,
    data_set_of,
    open_model,
    result_facts,
    weights_of,
)
from cytoyolo.detector.journal import Journal, partial_folder
from cytoyolo.detector.resumable import ResumableCall, run_resumable
from cytoyolo.detector.table import LISTED_IN_FULL, DetectionTable, detection_writer, tables_of
from cytoyolo.errors import UsageError, listed, option
from cytoyolo.images.folder import folder_files, match_in_folder, note_renamed
from cytoyolo.images.info import check_image_folder
from cytoyolo.scoring.check import row_faults
from cytoyolo.scoring.rows import fill
from cytoyolo.scoring.table_kinds import TEST, kind_named
from cytoyolo.spec import DataSpec, load_spec
from cytoyolo.tables.frame import AnyTable, Frame, given
from cytoyolo.tables.table import (
    TEST_ROLES,
    check_writable,
    fingerprint,
    read_table,
    refuse,
)

# Boxes with at least this confidence are listed with their probabilities, and so are the rows of the submission.
LISTED_CONF = 0.01


@dataclass(frozen=True)
class Submitted:
    """The result of `submit`.

    Attributes
    ----------
    output : Path
        The submission.
    images : int
        How many images were searched.
    rows : int
        How many rows the submission has.
    fallback_rows : int
        How many of these rows have no box, and so the fallback class.
    failures : dict
        For each image that could not be used, the reason.
    warnings : dict
        For each image whose boxes may be incomplete, the reason.
    """

    output: Path
    images: int
    rows: int
    fallback_rows: int
    failures: dict[str, str]
    warnings: dict[str, str]


def submit(
    weights: str | Path | Sequence[str | Path],
    test: AnyTable,
    *,
    images: str | Path,
    output: str | Path,
    dataset: str | Path | None = None,
    fallback: str | None = None,
    probabilities: bool = False,
    overwrite: bool = False,
    **settings: Unpack[InferenceSettings],
) -> Submitted:
    """Fill the rows of a test table: one row a test row, in its order, the best boxes of an image first.

    Boxes are found as the third place of the challenge did: confidence from 1e-5 and class-agnostic NMS at IoU 0.4. A
    test row without a box gets 0,0,0,0 and the fallback class. An image that can't be used is listed in the result and
    in OUTPUT.failures.csv, and the others go on. What is done is kept beside the output until all is done, so that the
    same call goes on after an interruption.

    Parameters
    ----------
    weights : str, Path, or several
        A checkpoint (.pt), an ONNX file or an OpenVINO folder that `export` made, or several of them, which are fused.
    test : str, Path or DataFrame
        The test table, a CSV file or a DataFrame: an id and the name of an image in each row.
    images : str or Path
        The folder of the images.
    output : str or Path
        The submission to write (CSV).
    dataset : str or Path, optional
        The data set whose classes the weights must have. Its YAML, or the name of a shipped one; by default the
        description that the weights carry.
    fallback : str, optional
        The class of a row without a box; by default the data set's.
    probabilities : bool
        Write OUTPUT.detections.csv too: all boxes with a confidence of at least 0.01, and in each image at least as
        many boxes as it has rows, with the probabilities of all classes.
    overwrite : bool
        Replace an output that `submit` made.
    **settings
        How the models are run: see `cytoyolo.detector.inference.InferenceSettings`. `max_det` is at least the number of
        rows of the image.

    Returns
    -------
    Submitted
        What was made.

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For weights or a table that can't be used.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.submit("best.pt", "test.csv", images="slides", output="submission.csv", device="cpu")
    >>> made.rows, made.failures
    (6, {})
    """
    source, folder, several, output = given(test, "the test table"), Path(images), weights_of(weights), Path(output)
    if isinstance(source, Path):
        refuse_images(source)
    chosen = complete(settings, defaults.SUBMISSION_CONF)
    if dataset is not None:
        load_spec(dataset)  # before long work
    check_image_folder(folder)
    if not overwrite and not partial_folder(output).exists():
        check_writable(output, [], overwrite)  # before the weights are opened, which takes seconds
    model = open_model(several, chosen)
    spec = data_set_of(model, dataset, several[0])
    fallback = _fallback(fallback, spec, model.codes)
    call = ResumableCall(model, output, overwrite, probabilities, result_facts(model, several, chosen, probabilities))
    most = box_limit(chosen)
    # Weights that were trained elsewhere for unknown classes have the challenge's names of columns.
    return _submit(call, spec or load_spec("cytologia"), source, folder, fallback, most)


@dataclass(frozen=True)
class _Asked:
    """A test table: `rows` (id, image) with the names of the image files, the table's own `names`, and the table's name
    of each file.

    `wanted` counts the rows of each file. The search and the journal use the paths of the files, and the outputs use
    the names of the table.
    """

    rows: pd.DataFrame
    names: list[str]
    name: Mapping[str, str]
    wanted: Counter[str]


def _read_test(source: Path | Frame, spec: DataSpec, images: Path) -> _Asked:
    remedy = f"to predict the images it names, give their folder {images}"
    with kind_named(source, spec, TEST, {"": remedy}):
        test = read_table(source, spec, TEST_ROLES)
    refuse(source, row_faults(test, spec), "mend or delete them", test)
    files = _files_meant(source, test, images)
    rows = test.assign(image=test["image"].map(files))
    named = {file: name for name, file in reversed(files.items())}
    return _Asked(rows, test["image"].tolist(), named, Counter(rows["image"]))


def _submit(
    call: ResumableCall, spec: DataSpec, source: Path | Frame, images: Path, fallback: str, most: int
) -> Submitted:
    tables = SubmissionTables(call.output, spec, call.model.codes, call.probabilities)
    tables.check(call.overwrite or partial_folder(call.output).exists())
    asked = _read_test(source, spec, images)
    wanted = asked.wanted
    if not call.probabilities:
        call.model.keep_at_most(1)  # the rows need no more, and they are found sooner
    call.model.keep_at_least(max(wanted.values()))
    # Without a table of detections no box is missing: an image gets as many boxes as it has rows.
    warnings = Warnings(call.model, max(most, *wanted.values()), LISTED_CONF if call.probabilities else 1)
    call.facts["source"] = fingerprint(source)

    rows_of = {images / file: count for file, count in wanted.items()}

    def needed(path: Path, found: Detections) -> Detections:
        kept = (found.confidence >= LISTED_CONF) & call.probabilities
        kept[: rows_of[path]] = True
        return found.take(kept)

    with run_resumable(
        replace(call, kept=needed), str(source), images, list(wanted), lambda _, one: one.detections,
        partial(tables.check, call.overwrite),
    ) as journal:  # fmt: skip
        tables.begin()
        rows, unfilled = fill(asked.rows, _best(journal, asked, tables, spec, call, warnings), fallback)
        tables.write(tables.rows, rows.assign(image=asked.names))
        warnings.close()
        failures = {asked.name[file]: problem for file, problem in journal.failures.items()}
        warnings.of_image = {asked.name[file]: said for file, said in warnings.of_image.items()}
        tables.write_by_image(tables.failures, failures)
        tables.write_by_image(tables.warnings, warnings.of_image)
        tables.place(call.overwrite)
    warnings.say()
    return Submitted(call.output, len(wanted) - len(failures), len(rows), unfilled, failures, warnings.of_image)


def _best(
    journal: Journal, asked: _Asked, tables: SubmissionTables, spec: DataSpec, call: ResumableCall, warnings: Warnings
) -> Iterator[DetectionTable]:
    """The best detections of each image, as many as it has rows; all are written into their own table, if wanted."""
    codes, place = call.model.codes, tables.begun(tables.detections)
    with detection_writer(place, spec, codes, LISTED_IN_FULL) if call.probabilities else nullcontext() as add:
        for some, table in tables_of(journal.detections(), codes):
            warnings.look(some)
            if add:
                add(table.renamed(asked.name))
            yield table.first(asked.wanted)


def _files_meant(source: Path | Frame, test: pd.DataFrame, images: Path) -> dict[str, str]:
    """Return the file below the image folder that each name of a test table means. A name without a file stays as it
    is.

    Raises CytoyoloError if such a name would lead out of the folder.
    """
    names, listing = test["image"].unique().tolist(), frozenset(folder_files(images))
    found = match_in_folder(names, listing)
    lost = test["image"].isin([name for name in found.candidates if leads_out(name)])
    faults = {int(row): f"no image of the folder is meant by {test['image'].iloc[row]}" for row in np.flatnonzero(lost)}
    refuse(source, faults, f"correct these names, or give {option('images')} the folder that holds the files", test)
    note_renamed({name: found.file[name] for name in found.how})
    return {name: found.file.get(name, name) for name in names}


def _fallback(wanted: str | None, spec: DataSpec | None, codes: tuple[str, ...]) -> str:
    """Return the class of a row without a box: the class that the user gave, or the data set's."""
    if wanted is not None:
        if wanted not in codes:
            raise UsageError("fallback", wanted, f"the weights know {listed(list(codes), 30)}; give one of these")
        return wanted
    if spec is None:
        raise UsageError(
            f"these weights don't say which class a row without a box gets; give {option('fallback', 'CLASS')}."
        )
    return spec.fallback
