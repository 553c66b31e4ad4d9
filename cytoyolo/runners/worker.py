"""On a worker: carry out a job whose folder and versions are right."""

import os
import pickle
from pathlib import Path
from typing import Any

from cytoyolo import console
from cytoyolo.errors import CytoyoloError, as_typed, explain, option
from cytoyolo.locks import be_patient
from cytoyolo.machine import CORES
from cytoyolo.workers import PATIENCE_S, SEE_ABOVE, run_logged, write_to

_MEMORY = option("runner_options", "memory=GIGABYTES")


def carry_out(task: dict[str, Any]) -> str:
    """Carry out the job of a task. Its messages go to the job's log. Return why it failed, "" if it did its work."""
    log = Path(task["folder"]) / f"{task['name']}.log"
    try:
        work = pickle.loads(task["work"])
        if task["warm"]:
            os.environ[CORES] = str(task["cores"])
            write_to(log)
            be_patient(PATIENCE_S)
            with console.shown():
                work(task["device"])
            return ""
        problem = run_logged(work, task["device"], task["cores"], log)
        return as_typed(problem.replace(SEE_ABOVE, f"see {log}, or its memory was used up: give more by {_MEMORY}"))
    except Exception as error:
        if os.environ.get("CYTOYOLO_DEBUG") == "1" and not isinstance(error, CytoyoloError):
            raise
        return as_typed(explain(error)[0])
