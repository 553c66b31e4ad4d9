"""Whether a table is one of the data set that it is read as, judged by its classes."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from cytoyolo.annotations.labels import meant_classes
from cytoyolo.errors import UsageError, listed, option, quoted
from cytoyolo.shipped import names
from cytoyolo.spec import PACKAGE, DataSpec, load_spec
from cytoyolo.tables.frame import Frame

# A table of fewer rows is not refused: each of its unknown classes can be told.
_FEWEST = 20
# With at most this share of known classes a table is of another data set; with less than half of them it is where a
# data set of this package knows nearly all.
_HARDLY_ANY, _HALF, _NEARLY_ALL = 0.05, 0.5, 0.95


def check_data_set(path: Path | Frame, classes: Iterable[str], spec: DataSpec) -> None:
    """Raise UsageError for a table of another data set, by the classes of its rows, before each row is called wrong."""
    rows = Counter(classes)
    total, known = rows.total(), _known(rows, spec)
    if total < _FEWEST or known >= _HALF * total:
        return
    # Of several data sets that know as much, the one with the fewest classes.
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
    """How many rows have a class of a data set, in whatever form."""
    known = {*spec.codes, *meant_classes(rows, spec)}
    return sum(count for value, count in rows.items() if value in known)
