"""The table of all detections, made some images at a time, so that memory does not grow with their number."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pandas as pd

from cytoyolo.classes import DataSpec
from cytoyolo.commands.journal import Entry
from cytoyolo.files import atomic_file
from cytoyolo.submission.rows import detection_columns, detection_table, public_names

_AT_ONCE = 2_000


def detection_tables(
    entries: Iterator[Entry], codes: tuple[str, ...], probabilities: bool
) -> Iterator[tuple[list[Entry], pd.DataFrame]]:
    """The entries that have no problem, some at a time, each time with the `detection_table` of them."""
    good = (one for one in entries if not one.problem)
    while some := list(islice(good, _AT_ONCE)):
        names, sizes, found = zip(*((one.name, one.size, one.detections) for one in some), strict=True)
        yield some, detection_table(names, sizes, found, codes, probabilities)


@contextmanager
def listing(
    path: Path, spec: DataSpec, codes: tuple[str, ...], probabilities: bool
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Yield what adds detections to a table with the columns of this data set; it takes its place at the end."""
    columns = detection_columns(spec, codes, probabilities)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        pd.DataFrame(columns=columns).to_csv(file, index=False, lineterminator="\n")
        yield lambda rows: public_names(rows, spec)[columns].to_csv(
            file, index=False, header=False, lineterminator="\n"
        )
