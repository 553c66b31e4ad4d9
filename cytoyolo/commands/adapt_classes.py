"""The classes of an adaptation: the classes of the weights, and further classes of the labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.labels import meant_classes, near_classes
from cytoyolo.detector.model_info import ModelInfo
from cytoyolo.errors import CytoyoloError, call, listed, option, quoted
from cytoyolo.shipped import names
from cytoyolo.spec import MASK, PACKAGE, DataSpec, load_spec, matching_spec, parse_spec, plain_spec
from cytoyolo.tables.table import LABEL_ROLES, XYXY, have_only_a_name, read_table

_SHOWN = 6


@dataclass(frozen=True)
class Classes:
    """The data set of an adaptation, and how its classes differ from the classes of the weights.

    `added` are the classes that the weights lack, `untaught` the classes of the weights that no label has.
    """

    spec: DataSpec
    added: tuple[str, ...]
    untaught: tuple[str, ...]

    def say(self, weights: Path, counts: Mapping[str, int]) -> None:
        """Tell which classes are new. `counts` has the number of rows of each class."""
        if self.added:
            shown = listed([f"{code} ({counts.get(code, 0):,} rows)" for code in self.added], _SHOWN)
            console.warn(
                f"Classes that {weights.name} does not know, which are added and learned from these labels alone: "
                f"{shown}."
            )


def classes_of(weights: Path, info: ModelInfo, labels: Path, dataset: str | Path | None) -> Classes:
    """Join the classes of weights and of a label table. The classes of the weights keep their places.

    A class that the weights lack is added if the data set that the user gives knows it. Without one, any code is added
    that does not look like another spelling of a class of the weights; such a spelling is left to the audit.

    Raises CytoyoloError if no label has a class of the weights, because there is nothing to adapt then.
    """
    known = spec_of(info)
    given = None if dataset is None else load_spec(dataset)
    if given is not None:
        known = replace(known, columns=given.columns)
    rows = read_table(labels, known, LABEL_ROLES)
    found = _codes(rows, known)
    others = [code for code in found if code not in (*known.codes, *meant_classes(found, known))]
    if given is not None:
        others = [code for code in others if code in given.codes]
    else:
        others = [code for code in others if not near_classes(code, known)]
    spec = _with_classes(known, others, given)
    taught = {*found, *meant_classes(found, spec).values()}
    untaught = tuple(code for code in known.codes if code not in taught)
    if found and len(untaught) == len(known.codes):
        raise CytoyoloError(
            f"{labels} has none of the classes of {weights} ({listed(list(known.codes), _SHOWN)}), so there is nothing "
            f"to adapt; train a network on it with {call('train', 'DATASET', output='RUN')}, or correct the classes."
        )
    return Classes(spec, tuple(others), untaught)


def spec_of(info: ModelInfo) -> DataSpec:
    """Describe the classes of weights, with the ids that the weights give them."""
    if info.spec is not None:
        return info.spec
    alike = matching_spec(info.codes)
    return plain_spec(info.codes) if alike is None else alike.in_order(info.codes)


def _codes(rows: pd.DataFrame, spec: DataSpec) -> list[str]:
    """Return the classes of the rows that have a box, in order of appearance."""
    boxed = ~have_only_a_name(rows, spec.codes) & (rows[XYXY] != "").any(axis=1).to_numpy()
    return [code for code in dict.fromkeys(rows["class"][boxed]) if code.strip() and code.casefold() != MASK]


def _with_classes(spec: DataSpec, codes: Sequence[str], given: DataSpec | None) -> DataSpec:
    """Add classes to a data set. They are described by the data set `given`, else by one of the package that has them.

    Raises CytoyoloError for a code that can't be the code of a class.
    """
    sources = [given] if given is not None else [load_spec(name) for name in (defaults.DATASET, *names(PACKAGE))]
    content = spec.to_dict()
    for code in codes:
        source = next((one for one in sources if code in one.ids), None)
        entry = {"code": code} if source is None else source.to_dict()["classes"][source.ids[code]]
        content["classes"].append(entry)
    try:
        return parse_spec(content)
    except ValueError as error:
        shown = listed([quoted(code) for code in codes], _SHOWN)
        raise CytoyoloError(
            f"the labels have classes that the weights lack and that can't be added ({shown}): {error}; correct them, "
            f"or give their data set with {option('dataset')}."
        ) from error
