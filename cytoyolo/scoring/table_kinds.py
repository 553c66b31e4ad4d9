"""What kind of table of this tool a CSV is, told by its header, to say what was given in place of another."""

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
    """What a table is by the names of its columns, "" for one of no known kind."""
    header = {name.strip().casefold() for name in header_names(path)}
    named = {role: name.casefold() for role, name in spec.columns.items()}

    def has(*roles: str) -> bool:
        return names(roles) <= header

    def names(roles: Sequence[str]) -> set[str]:
        return {named.get(role, role) for role in roles}

    kinds = {
        OUT_OF_FOLD: has("image", "fold", *XYXY, "confidence"),
        SUBMISSION: has(*SUBMISSION_ROLES),
        DETECTIONS: has(*_BOX, "confidence"),
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
    """Say of a table that lacks the columns of the kind `wanted` what it is, and what to do.

    `remedies` are by kind, "" for all others; `role` is what the table was given as, where that is not its kind.
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
    return {
        "": f"a score needs the columns {rows} in truth and submission; predict makes the submission of a test table "
        f"({test}), and the truth has the same {spec.columns['id']}"
    }
