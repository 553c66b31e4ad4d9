"""The tables of a submission: written beside the output, they take their places together when all are whole."""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from cytoyolo.commands.predict_warnings import Warnings
from cytoyolo.detector.journal import RESULT, partial_folder
from cytoyolo.detector.table import LISTED_IN_FULL
from cytoyolo.errors import UsageError, option
from cytoyolo.files import same_content
from cytoyolo.spec import DataSpec
from cytoyolo.tables.table import SUBMISSION_ROLES, check_writable, write_table


class SubmissionTables:
    """The places of a submission's tables: its rows, failures and warnings and, if wanted, all detections."""

    def __init__(self, output: Path, spec: DataSpec, codes: tuple[str, ...], detections: bool) -> None:
        image = spec.columns["image"]
        self.rows, self.failures = output, output.with_suffix(".failures.csv")
        self.warnings, self.detections = output.with_suffix(".warnings.csv"), output.with_suffix(".detections.csv")
        self._spec, self._folder = spec, partial_folder(output) / RESULT
        self._headers = {
            self.rows: spec.column_list(*SUBMISSION_ROLES),
            self.failures: [image, "problem"],
            self.warnings: Warnings.columns(image),
        }
        if detections:
            self._headers[self.detections] = LISTED_IN_FULL.header(spec, codes)
        elif os.path.lexists(self.detections):
            raise UsageError(
                f"{self.detections} does not belong to this output; give {option('probabilities', True)}, or move it."
            )

    def check(self, overwrite: bool, places: Collection[Path] | None = None) -> None:
        """Refuse what stands in the places of the tables, or in some of these places."""
        for path, header in self._headers.items():
            if places is None or path in places:
                check_writable(path, header, overwrite)

    def begin(self) -> None:
        """Throw away what an interrupted call has written."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def begun(self, path: Path) -> Path:
        """The place where a table is written before it is moved to its own place."""
        return self._folder / path.name

    def write(self, path: Path, table: pd.DataFrame) -> None:
        """Write a table with the columns of the data set; failures and warnings only if there are any."""
        if len(table) or path == self.rows:
            write_table(self.begun(path), table.rename(columns=self._spec.columns))

    def write_by_image(self, path: Path, of_image: dict[str, str]) -> None:
        """Write the failures or the warnings."""
        self.write(path, pd.DataFrame(of_image.items(), columns=self._headers[path]))

    def place(self, overwrite: bool) -> None:
        """Move the tables to their places. Tables that a killed call has already moved stay."""
        missing = [path for path in self._headers if not same_content(self.begun(path), path)]
        self.check(overwrite, missing)  # again: something may have come meanwhile
        for path in missing:
            if self.begun(path).exists():
                self.begun(path).replace(path)
            else:
                path.unlink(missing_ok=True)  # failures of the output just replaced
