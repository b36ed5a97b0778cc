"""Settings of every test process."""

import os
import signal

import pytest

# Several test processes share the cores, and BLAS threads that wait for a core another process
# holds make a product of small matrices a hundred times slower.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
# tests change what would be built, and nothing of that may be found by others
os.environ.setdefault("SIDEBYSIDE_CACHE", "off")


@pytest.fixture
def keyboard():
    """Let Ctrl-C interrupt, also where whoever started the tests has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
