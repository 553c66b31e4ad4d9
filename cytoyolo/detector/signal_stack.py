"""The stack on which this thread handles signals, such as Ctrl-C."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Give this thread its signal stack back at the end of the block.

    OpenVINO 2026 gives the thread that compiles a network a signal stack of its own, and takes it back when the network
    is deleted. Where networks are deleted in the order in which they were made, the thread is left with a stack that
    is gone, and the next Ctrl-C ends the process with a segmentation fault.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    sigaltstack, before = ctypes.CDLL(None).sigaltstack, _SignalStack()
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        sigaltstack(ctypes.byref(before), None)
