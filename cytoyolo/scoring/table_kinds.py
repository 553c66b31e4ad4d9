"""Find out from the header of a CSV which of this tool's tables it is, to say so if it was given instead of another
table."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cytoyolo.errors import CytoyoloError
from cytoyolo.spec import DataSpec
from cytoyolo.tables.dialect import SchemaError
from cytoyolo.tables.frame import Frame
from cytoyolo.tables.table import SUBMISSION_ROLES, TEST_ROLES, XYXY, header_names

SUBMISSION, DETECTIONS, LABELS = "a submission", "a table of detections", "a label table"
OUT_OF_FOLD, TEST = "a table of out-of-fold predictions", "a test table"
_BOX = ("image", *XYXY, "class")


def table_kind(path: Path | Frame, spec: DataSpec) -> str:
    """Return the kind of a table with these names of columns, "" if the kind is not known."""
    header = {name.strip().casefold() for name in header_names(path)}
    named = {role: name.casefold() for role, name in spec.columns.items()}

    def has(*roles: str) -> bool:
        return names(roles) <= header

    def names(roles: Sequence[str]) -> set[str]:
        return {named.get(role, role) for role in roles}

    kinds = {
        OUT_OF_FOLD: has("image", "fold", *XYXY, "confidence"),
        SUBMISSION: has(*SUBMISSION_ROLES),
        # All columns that reading needs: with a confidence alone, it may be a label table with a further column.
        DETECTIONS: has(*_BOX, "confidence", "second_class", "margin"),
        # With further columns they may be another table, one of whose columns has a wrong name.
        LABELS: names(_BOX) == header,
        TEST: names(TEST_ROLES) == header,
        "a table of failures": has("image", "problem"),
        "a table of warnings": has("image", "warning"),
        "a differential": has("share", "count"),
    }
    return next((kind for kind, is_one in kinds.items() if is_one), "")


@contextmanager
def kind_named(
    path: Path | Frame, spec: DataSpec, wanted: str, remedies: dict[str, str], role: str = ""
) -> Iterator[None]:
    """If a table lacks the columns of the kind `wanted`, say what it is and what to do.

    `remedies` has the advice by kind; "" is for all other kinds. `role` is the role in which the table was given, if it
    differs from its kind.
    """
    try:
        yield
    except SchemaError as error:
        kind = table_kind(path, spec)
        if kind in ("", wanted):
            raise
        remedy = remedies.get(kind, remedies[""])
        raise CytoyoloError(f"{path} is {kind}, not {role or wanted}; {remedy}.") from error


def score_remedies(spec: DataSpec) -> dict[str, str]:
    """What to do with a table of another kind than a score takes."""
    rows, test = (",".join(spec.column_list(*roles)) for roles in (SUBMISSION_ROLES, TEST_ROLES))
    evaluated = "`cytoyolo evaluate LABELS DETECTIONS` compares detections with labels"
    return {
        DETECTIONS: f"{evaluated}, and a score needs the columns {rows}",
        LABELS: f"{evaluated}, and a score needs the columns {rows}",
        "": f"a score needs the columns {rows} in truth and submission; predict makes the submission of a test table "
        f"({test}), and the truth has the same {spec.columns['id']}",
    }
