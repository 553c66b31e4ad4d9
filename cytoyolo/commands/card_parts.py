"""Parts that the cards of weights and of data sets share: see `card`."""

from collections.abc import Mapping, Sequence

from cytoyolo.spec import DataSpec
from cytoyolo.text import one_line

TAGS = ["cytoyolo", "blood-smear", "hematology", "leukocyte", "microscopy", "yolo"]
NOT_KNOWN = "not known"
LIMITS = "It is for research. It is not a medical device. A trained person must look at each cell that matters."


def class_table(codes: Sequence[str], spec: DataSpec | None, boxes: Mapping[str, int] | None = None) -> str:
    """A table of the classes, with the number of boxes if it is known."""
    head = ["id", "code", "name", "leukocyte", "flag", *([] if boxes is None else ["boxes"])]
    rows = []
    for number, code in enumerate(codes):
        told = [NOT_KNOWN] * 3
        if spec is not None:
            told = [spec.names[number], "yes" if spec.leukocyte[number] else "no", spec.flags[number]]
        rows.append([str(number), code, *told, *([] if boxes is None else [f"{boxes[code]:,}"])])
    return table(head, rows)


def fact_table(facts: Mapping[str, str]) -> str:
    return table(["fact", "value"], [[name, value] for name, value in facts.items()])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown. What a cell holds is shown as it is, in one line."""
    lines = [head, ["---"] * len(head), *([one_line(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
