"""Returns freed memory to the operating system.

glibc keeps the blocks that a batch's tensors leave behind, and the tensors of the next batch, of other lengths, do not
fit into them: a textcnn rank grew by 80 MB an epoch. Giving large blocks a mapping of their own
(MALLOC_MMAP_THRESHOLD_) prevents this, too, but costs 1.6 times the processor time.
"""

import ctypes
import time
from functools import cache
from typing import Any

INTERVAL_S = 5.0  # between two calls, each of which takes some hundredths of a second


def trim_if_due(last: float) -> float:
    """Call glibc's malloc_trim(3) if `INTERVAL_S` seconds have passed since `last` (`time.monotonic`).

    Does nothing if the C library has no such function.

    Returns:
        The time of the last call.
    """
    if time.monotonic() - last < INTERVAL_S:
        return last
    if malloc_trim := getattr(_c_library(), "malloc_trim", None):
        malloc_trim(0)
    return time.monotonic()


@cache
def _c_library() -> Any:
    return ctypes.CDLL(None)
