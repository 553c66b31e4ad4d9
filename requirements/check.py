"""Say in one sentence why `make install` can't work on this machine. It runs on every Python, also on old ones."""

import os
import shutil
import sys

_LEAST, _BEYOND = (3, 11), (3, 14)
# What the environment takes: with the CUDA builds of PyTorch that PyPI has, and with the CPU builds.
_GIGABYTES = 8


def problem(python):
    """Return what is wrong with this Python or this disk, None if nothing is."""
    if not _LEAST <= sys.version_info[:2] < _BEYOND:
        return "Python 3.11 to 3.13 is needed, and %s is %d.%d; give another with make PYTHON=python3.12." % (
            python,
            sys.version_info[0],
            sys.version_info[1],
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return (
            "%s has no module venv; install it (Debian: apt-get install python3-venv), or give another Python with "
            "make PYTHON=python3.12." % python
        )
    if not os.access(".", os.W_OK):
        return "this folder (%s) can't be written by this user; copy the project to a folder of yours." % os.getcwd()
    free = shutil.disk_usage(".").free / 1e9
    if free < _GIGABYTES and not os.path.exists(".venv"):
        return (
            "the environment takes up to %d GB, and the disk of %s has %.1f GB left; free some, or copy the project to "
            "another disk." % (_GIGABYTES, os.getcwd(), free)
        )
    return None


if __name__ == "__main__":
    sys.exit(problem(sys.argv[1]))
