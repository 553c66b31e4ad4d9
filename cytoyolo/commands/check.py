"""`check`: whether a submission is fit for upload."""

from pathlib import Path

import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.data_set import check_data_set
from cytoyolo.scoring.check import Finding, findings, form_findings, row_faults
from cytoyolo.scoring.table_kinds import SUBMISSION, TEST, kind_named, score_remedies
from cytoyolo.spec import load_spec
from cytoyolo.tables.frame import AnyTable, given
from cytoyolo.tables.records import read_records
from cytoyolo.tables.table import SUBMISSION_ROLES, TEST_ROLES, XYXY, read_table, refuse, role_table


def check(
    test: AnyTable, submission: AnyTable, *, images: str | Path | None = None, dataset: str | Path = defaults.DATASET
) -> list[Finding]:
    """List what is wrong with a submission before you upload it.

    It checks ids (missing, unknown, repeated), image names, classes and boxes.

    Parameters
    ----------
    test : str, Path or DataFrame
        The test table: trustii_id,NAME. Row 0 of a DataFrame is line 2.
    submission : str, Path or DataFrame
        The submission: trustii_id,NAME,x1,y1,x2,y2,class.
    images : str or Path, optional
        The folder of the test images, to find boxes that reach outside.
    dataset : str or Path
        The data set, which knows the classes and the names of the columns.

    Returns
    -------
    list of Finding
        Empty if nothing is wrong.

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For files that are not such tables.

    Examples
    --------
    >>> import pandas as pd
    >>> test = pd.DataFrame({"trustii_id": [1], "NAME": ["a.png"]})
    >>> submission = test.assign(x1=9, y1=5, x2=4, y2=8, **{"class": "PNN"})
    >>> print(check(test, submission)[0])
    line 2: box 9,5,4,8 is inverted
    """
    tested, answered = given(test, "the test table"), given(submission, "the submission")
    spec = load_spec(dataset)
    with kind_named(tested, spec, TEST, score_remedies(spec)):
        wanted = read_table(tested, spec, TEST_ROLES)
    refuse(tested, row_faults(wanted, spec), "mend the test table, or take it anew from its source", wanted)
    with kind_named(answered, spec, SUBMISSION, score_remedies(spec)):
        records = read_records(answered, spec.column_map(*SUBMISSION_ROLES), XYXY)
    refuse(answered, records.broken, "correct or delete them")
    check_data_set(answered, records.column("class"), spec)
    sizes, problems = ({}, []) if images is None else _image_sizes(Path(images), wanted["image"])
    found = findings(wanted, role_table(records, SUBMISSION_ROLES), spec, sizes)
    return [*form_findings(records), *found, *problems]


def _image_sizes(folder: Path, image: pd.Series) -> tuple[dict[str, tuple[int, int]], list[Finding]]:
    """Width and height by image name, and a finding for each image that can't be used."""
    # These import OpenCV, which scoring goes without.
    from cytoyolo.images.folder import folder_files, match_in_folder
    from cytoyolo.images.info import check_image_folder, read_many

    check_image_folder(folder)
    names = image.drop_duplicates().tolist()
    file = match_in_folder(names, frozenset(folder_files(folder))).file
    problems, sizes = {name: "is missing" for name in names if name not in file}, {}
    with console.progress() as progress:
        facts = progress.track(read_many(folder / one for one in file.values()), len(file), description="Read images")
        for name, found in zip(file, facts, strict=True):
            if found.problem:
                problems[name] = found.problem
            else:
                sizes[name] = (found.width, found.height)
    return sizes, [Finding(None, f"image {name} {problems[name]}") for name in names if name in problems]
