"""Memory that was freed goes back to the machine.

glibc keeps what a batch's tensors leave, in pieces that the next batch's, of another length, do not fit: a rank of
textcnn grew by 80 MB an epoch. Larger blocks of their own (MALLOC_MMAP_THRESHOLD_) hold it too, but cost half as much
time again.
"""

import ctypes
import time
from functools import cache
from typing import Any

SECONDS = 5.0  # between two calls, of which each takes some hundredths of one


def trim(last: float) -> float:
    """Give back what is free, if the `last` call was long ago; the time of the last call.

    It does nothing with a C library that has no such call.
    """
    if time.monotonic() - last < SECONDS:
        return last
    if call := getattr(_library(), "malloc_trim", None):
        call(0)
    return time.monotonic()


@cache
def _library() -> Any:
    return ctypes.CDLL(None)
