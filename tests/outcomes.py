"""What a call left: the files of a folder, and the sentence of a call that was refused."""

import subprocess
from pathlib import Path


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder, by its path in the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_refused(done: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    """The call ended with this exit code and one sentence that holds these words, and printed nothing else."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("cytoyolo: ") and done.stderr.count("\n") == 1
    assert words in done.stderr and "fault of cytoyolo" not in done.stderr
