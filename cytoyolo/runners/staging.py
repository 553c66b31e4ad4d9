"""Copies of a job's inputs on the worker's own disk, made once for all jobs of the worker."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from cytoyolo.errors import CytoyoloError, option
from cytoyolo.files import listing
from cytoyolo.locks import locked

_PREFIX = "cytoyolo-"
_OTHER = f"give {option('runner_options')} another stage, or none"


def staged(source: Path, stage: Path | None) -> Path:
    """Return a copy of a file or folder on this machine's disk.

    The copy is made unless it is there. Its name is a fingerprint of the names, sizes and times of the files, so that
    a changed input is copied again. Links are followed.

    Parameters
    ----------
    source : Path
        The file or folder.
    stage : Path or None
        The folder of the copies. None means that inputs are used where they are.

    Raises
    ------
    CytoyoloError
        If the disk has no space for the copy, or the folder can't be made.
    """
    if stage is None:
        return source
    files = listing(source) if source.is_dir() else [""]
    states = [(name, *_state(source / name)) for name in files]
    digest = hashlib.sha256("\n".join(map(repr, states)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    target = stage / f"{_PREFIX}{digest}" / source.name
    if target.exists():
        return target
    size = sum(state[1] for state in states)
    try:
        stage.mkdir(parents=True, exist_ok=True)
        with locked(target.parent):
            if not target.exists():
                _copy(source, target, stage, size)
    except OSError as error:
        raise CytoyoloError(f"{stage} can't be used to keep inputs ({error.strerror}); {_OTHER}.") from error
    return target


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _copy(source: Path, target: Path, stage: Path, size: int) -> None:
    """Copy a file or folder, whole or not at all."""
    if (free := shutil.disk_usage(stage).free) < size:
        raise CytoyoloError(
            f"the disk of {stage} has {free / 1e6:,.0f} MB left, and {source} needs {size / 1e6:,.0f} MB; free some, "
            f"or {_OTHER}."
        )
    temporary = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=".partial", dir=stage))
    try:
        if source.is_dir():
            shutil.copytree(source, temporary / source.name)
        else:
            shutil.copy2(source, temporary / source.name)
        temporary.replace(target.parent)
    except OSError as error:
        if error.filename and not Path(error.filename).exists():
            raise CytoyoloError(f"{error.filename} can't be copied ({error.strerror}); check the input.") from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
