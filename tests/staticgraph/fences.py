"""Fences: arrays that end where no memory is, so that a step beyond them stops the process.

What reads or writes outside an array mostly goes unnoticed. Here one end of each array lies at a
page that may not be touched.
"""

import ctypes
import mmap
import random

import numpy as np

PAGE = mmap.PAGESIZE
_NOTHING = 0  # PROT_NONE


def fenced(shape, dtype, at_end):
    """Return an array in memory of its own that may not be left at its end, or at its beginning."""
    dtype = np.dtype(dtype)
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    inside = max(-(-nbytes // PAGE), 1) * PAGE
    memory = mmap.mmap(-1, inside + 2 * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (start, start + PAGE + inside):
        if protect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), _NOTHING):
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = PAGE + (inside - nbytes if at_end else 0)
    return np.ndarray(shape, dtype, memory, offset)


class FencedNumpy:
    """Stands for the module numpy where arrays are allocated by `numpy.empty`.

    Attributes
    ----------
    count : int
        Arrays made so far.
    """

    def __init__(self, seed=0):
        self.choice = random.Random(seed)
        self.count = 0

    def empty(self, shape, dtype):
        self.count += 1
        return fenced(shape, dtype, self.choice.random() < 0.7)

    def __getattr__(self, name):
        return getattr(np, name)
