"""The classes of `join`: rows get the codes of their data set, and the classes of all sources become one list."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from cytoyolo import console
from cytoyolo.annotations.labels import class_key, meant_classes
from cytoyolo.errors import CytoyoloError, listed, quoted
from cytoyolo.spec import COLUMNS, MASK, DataSpec
from cytoyolo.text import counted


def coded(source: str, classes: pd.Series, spec: DataSpec) -> pd.Series:
    """Return the codes of the classes of a source's rows. A class that its data set does not know stays as it is.

    In the joined table, a name or an id of this data set could mean nothing, or another class.
    """
    meant = meant_classes(set(classes), spec)
    if count := int(classes.isin(list(meant)).sum()):
        shown = listed([f"{quoted(value)} is {meant[value]}" for value in dict.fromkeys(classes) if value in meant])
        console.note(f"{source}: the classes of {counted(count, 'row')} are written as codes ({shown}).")
    return classes.map(lambda value: meant.get(value, value))


def shared_codes(sources: Mapping[str, tuple[DataSpec, pd.Series]]) -> dict[str, dict[str, str]]:
    """Map codes of each source to codes of earlier sources that are written in another way (PNN and pnn).

    A source has its description and the classes of its rows. A message names the classes that are joined so, and the
    classes that have the same English name and stay apart.
    """
    known: dict[str, tuple[str, str]] = {}  # the code and the source of each class, by the key of its code
    called: dict[str, tuple[str, str]] = {}  # the same by the key of its English name, for classes with rows
    other: dict[str, dict[str, str]] = {}
    for source, (spec, classes) in sources.items():
        keys, there = [class_key(code) for code in spec.codes], set(classes)
        other[source] = {}
        for code, name, key in zip(spec.codes, spec.names, keys, strict=True):
            if keys.count(key) > 1:  # this source has several classes that are written so
                continue
            first, of = known.setdefault(key, (code, source))
            if first != code:
                other[source][code] = first
                if code in there:
                    console.note(f"{source}: its class {quoted(code)} is {quoted(first)} of {of}, and gets this code.")
            elif code in there:
                alike, of = called.setdefault(class_key(name), (code, source))
                if alike != code and of != source:
                    console.warn(
                        f"{quoted(alike)} of {of} and {quoted(code)} of {source} are both called {quoted(name)}; they "
                        "stay two classes, so give them the same code if they are the same."
                    )
    return other


def with_codes(spec: DataSpec, other: Mapping[str, str]) -> DataSpec:
    """Return a description with other codes of some classes."""
    codes = tuple(other.get(code, code) for code in spec.codes)
    return replace(spec, codes=codes, fallback=other.get(spec.fallback, spec.fallback))


def joined_spec(specs: Sequence[DataSpec], classes: pd.Series) -> DataSpec:
    """Return the description of the joined data set: the classes that have rows, in the order of the sources.

    A code that no source describes is left to the audit. Raises CytoyoloError if two sources disagree about a class.
    """
    counts = classes.value_counts()
    known: dict[str, tuple[str, bool]] = {}
    for spec in specs:
        for code, name, leukocyte in zip(spec.codes, spec.names, spec.leukocyte, strict=True):
            first = known.setdefault(code, (name, leukocyte))
            if code in counts and first[1] != leukocyte:
                raise CytoyoloError(
                    f"the class {quoted(code)} counts in the leukocyte differential of one source and not of another; "
                    "make 'leukocyte' the same in their data sets."
                )
            if code in counts and first[0] != name:
                console.warn(f"The class {quoted(code)} is called {quoted(first[0])} and {quoted(name)}; it is joined.")
    codes = tuple(code for code in known if code in counts)
    if not codes:
        raise CytoyoloError(f"no row has a class that its data set knows (other than {MASK}); check the sources.")
    flags = _joined_flags(specs)
    return DataSpec(
        name="joined",
        codes=codes,
        names=tuple(known[code][0] for code in codes),
        leukocyte=tuple(known[code][1] for code in codes),
        flags=tuple(flags.get(code, "") for code in codes),
        fallback=max(codes, key=lambda code: int(counts[code])),
        columns=dict(COLUMNS),
    )


def _joined_flags(specs: Sequence[DataSpec]) -> dict[str, str]:
    """Return the flag of each flagged class. Raises CytoyoloError if two sources give a class different flags."""
    flags: dict[str, str] = {}
    for spec in specs:
        for code, flag in zip(spec.codes, spec.flags, strict=True):
            if flag and flags.setdefault(code, flag) != flag:
                raise CytoyoloError(
                    f"the class {quoted(code)} has the flag {flags[code]} in one source and {flag} in another; make "
                    "'flag' the same in their data sets."
                )
    return flags
