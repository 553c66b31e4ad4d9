"""Which column of a labelled table is which, as a user says it."""

from collections.abc import Sequence
from dataclasses import dataclass

from cytoyolo.errors import UsageError, quoted
from cytoyolo.spec import COLUMNS

# The forms in which a table can have a box: corners; left, top and sides; centre and sides.
_FORMS = (("x1", "y1", "x2", "y2"), ("x", "y", "w", "h"), ("cx", "cy", "w", "h"))
_FURTHER = ("width", "height", "group", "confidence")
# What the numbers of a box count in, and how many of these make the whole image. 0: pixels.
_UNITS = {"pixels": 0.0, "fractions": 1.0, "percent": 100.0}
_EXAMPLE = "image=filename,x1=xmin,y1=ymin,x2=xmax,y2=ymax,class=label"


@dataclass(frozen=True)
class TableColumns:
    """The columns of a labelled table.

    `names` has the column of each role, `sides` the four roles of the box in their order, and `unit` what its numbers
    count in: pixels, fractions or percent of the image's size.
    """

    names: dict[str, str]
    sides: tuple[str, ...]
    unit: str = "pixels"

    @property
    def per(self) -> float:
        """How many units make the whole image, 0 for pixels."""
        return _UNITS[self.unit]

    def extra(self, roles: Sequence[str]) -> list[str]:
        """Those of these roles that have a column."""
        return [role for role in roles if role in self.names]


def default_columns() -> TableColumns:
    """The columns of our own tables."""
    return TableColumns({role: COLUMNS[role] for role in ("image", *_FORMS[0], "class")}, _FORMS[0])


def columns_of(mapping: str) -> TableColumns:
    """Read what a user says about the columns.

    Parameters
    ----------
    mapping : str
        Pairs ROLE=COLUMN with commas between them. The roles `image` and `class` are needed, and the roles of a box:
        x1,y1,x2,y2 (corners), x,y,w,h (left, top, width, height), or cx,cy,w,h (centre, width, height). Further roles
        are `width` and `height` (the size of the image in pixels), `group` and `confidence`. `unit=fractions` or
        `unit=percent` says that the numbers of the box are no pixels.

    Raises
    ------
    UsageError
        If it is anything else.

    Examples
    --------
    >>> columns_of("image=filename,x=left,y=top,w=w,h=h,class=label,unit=percent").sides
    ('x', 'y', 'w', 'h')
    """
    pairs = [pair.partition("=") for pair in mapping.split(",") if pair.strip()]
    given = {role.strip(): name.strip() for role, _, name in pairs}
    if not given or not all(given.values()) or len(given) < len(pairs):
        raise _wrong(mapping, f"give each role once with its column, such as {_EXAMPLE}")
    unit = given.pop("unit", "pixels")
    if unit not in _UNITS:
        raise _wrong(mapping, f"give unit={', unit='.join(_UNITS)}, or leave it out")
    forms = [form for form in _FORMS if set(form) <= given.keys()]
    if not {"image", "class"} <= given.keys() or not forms:
        raise _wrong(mapping, f"give image, class and four sides of the box, such as {_EXAMPLE}")
    sides = forms[0]
    if unknown := [role for role in given if role not in ("image", "class", *sides, *_FURTHER)]:
        roles = ", ".join(("image", "class", *sides, *_FURTHER, "unit"))
        raise _wrong(mapping, f"{quoted(unknown[0], 30)} is not one of the roles {roles}")
    if len(set(given.values())) < len(given):
        raise _wrong(mapping, "give a different column for each role")
    return TableColumns(given, sides, unit)


def _wrong(mapping: str, remedy: str) -> UsageError:
    return UsageError("columns", mapping, remedy)
