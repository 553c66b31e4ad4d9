"""What is to be decided: labels with findings, cells without a label, images; the most suspect first."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.annotations.audit import Audited
from cytoyolo.annotations.rules.registry import DROP, SEVERITIES, Rule
from cytoyolo.annotations.table import LabelTable
from cytoyolo.curation.findings import CLASS, DISPLACED, LOOSE, OVERLOOKED, SPURIOUS
from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.images.names import match_names
from cytoyolo.reviewing.decisions import FOUND, IMAGE, ROW, Box, Outcome
from cytoyolo.spec import MASK, DataSpec
from cytoyolo.tables.table import XYXY

# The findings of a curation in the order in which they are shown: what most probably is an error comes first.
_CURATED = (CLASS, SPURIOUS, DISPLACED, OVERLOOKED, LOOSE)
_LOOKS_LIKE = re.compile(r": (\S+) at confidence")
# How a finding about a row names another row, and how the sheet of a rule shows that it names another image.
_LINE, _PAIR = re.compile(r"\bline (\d{1,9})\b"), "pair"
# How many cells of a class are shown beside a cell of the same class.
EXAMPLES = 12


@dataclass(frozen=True)
class Item:
    """Something to decide.

    Attributes
    ----------
    subject : str
        What it is about, as `decisions` names it.
    image : str
        The name of the image, as it is in the table.
    rules : tuple of str
        The rules that found something.
    texts : tuple of str
        What they found, in words.
    suggestion : Outcome or None
        What the findings suggest.
    box : Box or None
        The box of a cell without a label.
    partners : tuple of str
        The other rows and images that the findings name, as subjects: what a label repeats, a copy of an image.
    """

    subject: str
    image: str
    rules: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    suggestion: Outcome | None = None
    box: Box | None = None
    partners: tuple[str, ...] = ()

    @property
    def partner_images(self) -> list[str]:
        """The images among the partners."""
        return [name for of, _, name in (one.partition(":") for one in self.partners) if of == IMAGE]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `item_of` is the inverse."""
        return {**vars(self), "suggestion": None if self.suggestion is None else list(self.suggestion)}


def item_of(content: Mapping[str, Any]) -> Item:
    """Make an item of plain values."""
    box, given = content["box"], content["suggestion"]
    suggestion = None if given is None else Outcome(given[0], given[1], None if given[2] is None else tuple(given[2]))
    texts = {name: tuple(content.get(name, ())) for name in ("rules", "texts", "partners")}
    return Item(content["subject"], content["image"], **texts, suggestion=suggestion, box=box and tuple(box))


@dataclass
class _Found:
    """What was found about one subject so far, and how early it is shown: the smaller, the earlier."""

    image: str
    order: float
    rules: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    partners: list[str] = field(default_factory=list)

    def add(self, order: float, rule: str, text: str, partners: Sequence[str] = ()) -> None:
        self.partners += [one for one in partners if one not in self.partners]
        self.order = min(self.order, order)
        if rule not in self.rules:
            self.rules.append(rule)
        self.texts.append(f"{rule}: {text}" if text else rule)


def of_every_label(table: LabelTable) -> list[Item]:
    """Make an item of each label and ignore region, in the order of the table."""
    return [Item(f"{ROW}:{row}", str(table.text["image"][row])) for row in _boxed(table)]


def _boxed(table: LabelTable) -> list[int]:
    return [int(row) for row in np.flatnonzero(table.labels | table.ignore_regions)]


def of_scores(table: LabelTable, scores: pd.DataFrame, codes: Collection[str]) -> list[Item]:
    """Make an item of each label in a table of scores that `curate` wrote, the least certain first."""
    items = []
    for one in scores.to_dict("records"):
        row, other = int(one["line"]) - 2, str(one["predicted"])
        suggestion = Outcome("label", other) if other in codes and other != one["class"] else None
        text = f"score {one['score']}" + (f", looks like {other}" if suggestion else "")
        rules = tuple(str(one["findings"]).split("; ")) if one["findings"] else ()
        items.append(Item(f"{ROW}:{row}", str(table.text["image"][row]), rules, (text,), suggestion))
    return items


def of_audit(table: LabelTable, findings: pd.DataFrame, audited: Audited) -> tuple[list[Item], int]:
    """Make items of the findings of an audit, the errors first.

    Parameters
    ----------
    table : LabelTable
        The table under review.
    findings : DataFrame
        line, image, rule, severity, value, action and detail, as `audit` wrote them (texts).
    audited : Audited
        An audit of the same table. What its rules leave of a row is the suggestion for the row.

    Returns
    -------
    tuple of (list of Item, int)
        An item for each row and each image, and how many findings are about the table as a whole.
    """
    found, whole, drops = dict[str, _Found](), 0, set[str]()
    for place, one in enumerate(findings.to_dict("records")):
        rule = audited.policy.get(str(one["rule"]))
        about = "row" if rule is None and one["line"] else "image" if rule is None else rule.about
        subject = _subject(about, str(one["line"]), str(one["image"]), table)
        if subject is None:
            whole += 1
            continue
        text = ", ".join(part for part in (str(one["value"]), str(one["detail"])) if part)
        order = (SEVERITIES.index(one["severity"]) if one["severity"] in SEVERITIES else 0) * len(findings) + place
        image = str(table.text["image"][int(one["line"]) - 2]) if subject.startswith(ROW) else str(one["image"])
        paired = rule is not None and rule.sheet == _PAIR
        partners = _partners(subject, str(one["value"]) if paired else "", str(one["detail"]), table)
        found.setdefault(subject, _Found(image, order)).add(order, str(one["rule"]), text, partners)
        if about == "image" and one["action"] == DROP:
            drops.add(subject)
    suggested = {subject: Outcome("gone") for subject in drops} | _left_by(audited, table)
    return _in_order(found, suggested, {}), whole


def rules_to_ask(findings: pd.DataFrame, policy: Mapping[str, Rule]) -> list[str]:
    """The rules that found something about rows, in the order in which they are asked."""
    named = set(findings["rule"])
    return [name for name, rule in policy.items() if name in named and rule.about == "row"]


def _subject(about: str, line: str, image: str, table: LabelTable) -> str | None:
    row = int(float(line)) - 2 if line else -1
    if about == "row" and 0 <= row < len(table.alive):
        return f"{ROW}:{row}"
    return f"{IMAGE}:{image}" if about == "image" and image else None


def _partners(subject: str, image: str, detail: str, table: LabelTable) -> list[str]:
    """The other image that a finding about an image names, or the other rows that a finding about a row names."""
    if subject.startswith(f"{IMAGE}:"):
        return [f"{IMAGE}:{image}"] if image and subject != f"{IMAGE}:{image}" else []
    rows = [int(line) - 2 for line in _LINE.findall(detail)]
    return [f"{ROW}:{row}" for row in rows if 0 <= row < len(table.alive) and subject != f"{ROW}:{row}"]


def _left_by(audited: Audited, table: LabelTable) -> dict[str, Outcome]:
    """What the actions of the rules leave of each row that they change, by subject."""
    after, left = audited.table, dict[str, Outcome]()
    for row in sorted({int(row) for edit in after.lines.edits for row in edit.rows}):
        if row >= len(table.alive):
            continue
        if not after.alive[row]:
            left[f"{ROW}:{row}"] = Outcome("gone")
            continue
        code, box = str(after.text["class"][row]), after.xyxy[row]
        recoded = code != table.text["class"][row]
        moved = bool(np.isfinite(box).all()) and any(after.text[side][row] != table.text[side][row] for side in XYXY)
        if recoded or moved:
            state = "ignore" if code == MASK else "label"
            new = _as_box(box) if moved else None
            left[f"{ROW}:{row}"] = Outcome(state, code if recoded and state == "label" else "", new)  # type: ignore[arg-type]
    return left


def of_curation(
    table: LabelTable,
    findings: pd.DataFrame,
    suggested_class: Mapping[int, str],
    suggested_box: Mapping[int, Box],
) -> list[Item]:
    """Make items of the findings of a curation: wrong classes first, the most doubtful first.

    Parameters
    ----------
    table : LabelTable
        The table under review.
    findings : DataFrame
        line, image, rule, value, action and detail, as `curate` wrote them (texts).
    suggested_class, suggested_box : mapping
        The class or the box that the curation suggests for a row.
    """
    found, boxes, suggested = dict[str, _Found](), dict[str, Box](), dict[str, Outcome]()
    # The predictions may name an image in another way than the table, by which its labels and its new row are known.
    own = match_names(set(map(str, findings["image"])), frozenset(map(str, table.text["image"][table.alive]))).file
    for place, one in enumerate(findings.to_dict("records")):
        rule, line = str(one["rule"]), str(one["line"])
        row = int(float(line)) - 2 if line else -1
        subject, image = f"{ROW}:{row}", str(one["image"])
        if row < 0:
            subject, image = f"{FOUND}:{place}", own.get(image, image)
            boxes[subject] = _parsed_box(str(one["value"]))
            looks = _LOOKS_LIKE.search(str(one["detail"]))
            known = looks is not None and looks[1] in table.spec.codes
            suggested[subject] = Outcome("label", looks[1], None) if looks and known else Outcome("ignore")
        else:
            image = str(table.text["image"][row])
        order = (_CURATED.index(rule) if rule in _CURATED else len(_CURATED)) * len(findings) + place
        found.setdefault(subject, _Found(image, order)).add(order, rule, str(one["detail"]))
    for subject, about in found.items():
        if subject not in suggested and (wanted := _suggested(about, subject, suggested_class, suggested_box)):
            suggested[subject] = wanted
    return _in_order(found, suggested, boxes)


def _suggested(
    found: _Found, subject: str, suggested_class: Mapping[int, str], suggested_box: Mapping[int, Box]
) -> Outcome | None:
    row = int(subject.partition(":")[2])
    code, box = suggested_class.get(row, ""), suggested_box.get(row)
    if SPURIOUS in found.rules:
        return Outcome("ignore")
    return Outcome("label", code, box) if code or box is not None else None


def _in_order(found: Mapping[str, _Found], suggested: Mapping[str, Outcome], boxes: Mapping[str, Box]) -> list[Item]:
    order = sorted(found, key=lambda subject: found[subject].order)
    items = []
    for name in order:
        one = found[name]
        texts = tuple(one.rules), tuple(one.texts)
        items.append(Item(name, one.image, *texts, suggested.get(name), boxes.get(name), tuple(one.partners)))
    return items


def _parsed_box(text: str) -> Box:
    try:
        x1, y1, x2, y2 = map(float, text.split(","))
    except ValueError as error:
        raise CytoyoloError(f"the findings hold {quoted(text)}, which is not a box; make them again.") from error
    return x1, y1, x2, y2


def _as_box(values: Sequence[float] | np.ndarray) -> Box:
    x1, y1, x2, y2 = map(float, values)
    return x1, y1, x2, y2


def examples(table: LabelTable, items: Sequence[Item], scores: Mapping[int, float]) -> dict[str, list[int]]:
    """Choose rows that show each class: the most certain by `scores`, or else labels without findings of different
    images."""
    suspects = {item.subject for item in items if item.rules}
    chosen: dict[str, list[int]] = {code: [] for code in table.spec.codes}
    rows = [int(row) for row in table.where(np.isfinite(table.xyxy).all(axis=1)) if f"{ROW}:{row}" not in suspects]
    rows.sort(key=lambda row: -scores.get(row, 0.0))
    images: dict[str, set[str]] = {code: set() for code in chosen}
    for row in rows:
        code, image = str(table.text["class"][row]), str(table.text["image"][row])
        if code in chosen and len(chosen[code]) < EXAMPLES and image not in images[code]:
            chosen[code].append(row)
            images[code].add(image)
    return chosen


def class_keys(table: LabelTable) -> dict[str, str]:
    """Give the keys 1 to 9 and 0 to the ten most frequent classes, in the order of the data set."""
    spec: DataSpec = table.spec
    counts = pd.Series(table.text["class"][table.labels], dtype=object).value_counts()
    frequent = sorted(spec.codes, key=lambda code: (-int(counts.get(code, 0)), spec.ids[code]))[:10]
    return dict(zip(sorted(frequent, key=spec.ids.__getitem__), "1234567890", strict=False))
