"""The page of `reproduce`: it is made of what the steps wrote."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo import defaults
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.class_tables import CLASSES
from cytoyolo.commands.crossval_folder import MANIFEST, read_manifest
from cytoyolo.commands.curate import REPORT
from cytoyolo.commands.reproduce_call import Call
from cytoyolo.commands.reproduce_outcome import LEAST_RIGHT, outcome
from cytoyolo.commands.reproduce_state import Step, read_state
from cytoyolo.commands.train_folder import read_manifest as read_run
from cytoyolo.curation.corrections import SPURIOUS_CHOICES
from cytoyolo.report.page import PAGE, write_page
from cytoyolo.report.pages.reproduction import Reproduced, StepDone, reproduction_page
from cytoyolo.scoring.class_summary import ClassSummary
from cytoyolo.spec import DataSpec, load_spec
from cytoyolo.tables.table import SUBMISSION_ROLES, read_table


def write_reproduction_page(call: Call, steps: Sequence[Step]) -> None:
    """Write the page into the folder of a finished reproduction."""
    folder, spec = call.folder, load_spec(call.dataset)
    made = outcome(folder, call.spurious)
    low, high = read_manifest(folder / "cv" / MANIFEST)["score"]["interval"]
    found = Reproduced(made.score, (low, high), made.giou, made.macro_f1, made.right, LEAST_RIGHT, made.confidence)
    changes: dict[str, pd.Series] = {
        one: outcome(folder, one).changes.set_index("rule")["rows"] for one in SPURIOUS_CHOICES
    }
    tables = [LabelTable.from_csv(folder / name, spec) for name in ("repaired.csv", f"curated-{call.spurious}.csv")]
    rows = read_table(folder / "submission.csv", spec, SUBMISSION_ROLES)["class"].value_counts()
    page = reproduction_page(
        f"{spec.name}, recipe {Path(call.training['recipe']).name}",
        _done(folder, steps), found, _classes(folder / "cv" / CLASSES), changes, _labels(spec, tables), call.spurious,
        read_run(folder / "run")["metrics"], rows,
    )  # fmt: skip
    write_page(folder / PAGE, page)


def _done(folder: Path, steps: Sequence[Step]) -> list[StepDone]:
    state, done = read_state(folder), []
    for step in steps:
        page = step.makes.with_suffix(REPORT) if step.makes.suffix else step.makes / PAGE
        path = page.relative_to(folder).as_posix() if page.is_file() else ""
        done.append(StepDone(step.name, state[step.name]["seconds"], step.makes.name, path))
    return done


def _classes(path: Path) -> ClassSummary | None:
    """Read the classes of a cross-validation. Cross-validations of an earlier version have none."""
    if not path.is_file():
        return None
    return ClassSummary(defaults.CONF, pd.read_csv(path, converters={"class": str}), pd.DataFrame())


def _labels(spec: DataSpec, tables: Sequence[LabelTable]) -> pd.DataFrame:
    """Count the labels of each class before and after a curation."""
    before, after = (np.bincount(one.class_id[one.labels], minlength=len(spec.codes)) for one in tables)
    counts = pd.DataFrame({"class": spec.codes, "before": before, "after": after})
    return counts[counts["before"] > 0]
