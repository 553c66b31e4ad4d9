"""Find out from its classes whether a table belongs to the data set that it is read as."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from cytoyolo.annotations.labels import meant_classes
from cytoyolo.errors import UsageError, listed, option, quoted
from cytoyolo.shipped import names
from cytoyolo.spec import PACKAGE, DataSpec, load_spec
from cytoyolo.tables.frame import Frame

# A table with fewer rows is not refused: a message can name each of its unknown classes.
_FEWEST = 20
# A table belongs to another data set if at most the share _HARDLY_ANY of its rows has a known class. With less than
# _HALF it does so if a data set of this package knows the classes of at least the share _NEARLY_ALL.
_HARDLY_ANY, _HALF, _NEARLY_ALL = 0.05, 0.5, 0.95


def check_data_set(path: Path | Frame, classes: Iterable[str], spec: DataSpec) -> None:
    """Raise UsageError if the classes of the rows show that the table belongs to another data set.

    So the user gets one sentence, instead of a finding for each row.
    """
    rows = Counter(classes)
    total, known = rows.total(), _known(rows, spec)
    if total < _FEWEST or known >= _HALF * total:
        return
    # If several data sets know the same number of rows, the data set with the fewest classes is taken.
    shipped = sorted(map(load_spec, names(PACKAGE)), key=lambda other: (-_known(rows, other), len(other.codes)))
    if _known(rows, shipped[0]) >= _NEARLY_ALL * total:
        remedy = f"these are the classes of '{shipped[0].name}', so give {option('dataset', shipped[0].name)}"
    elif known <= _HARDLY_ANY * total:
        remedy = f"give the YAML of its own data set, which lists these classes, with {option('dataset')}"
    else:
        return
    raise UsageError(
        f"{path} has the classes {listed([quoted(value, 30) for value, _ in rows.most_common()])}, and only {known:,} "
        f"of its {total:,} rows have one of the classes of '{spec.name}'; {remedy}."
    )


def _known(rows: Counter[str], spec: DataSpec) -> int:
    """Count the rows whose class belongs to a data set, in any spelling."""
    known = {*spec.codes, *meant_classes(rows, spec)}
    return sum(count for value, count in rows.items() if value in known)
