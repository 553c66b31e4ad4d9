"""The command line: parse, call one function, print, exit code."""

from cytoyolo.cli.app import main

__all__ = ["main"]
