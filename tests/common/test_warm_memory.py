"""Large results take memory of dead arrays, where the C library adapts to what a program does."""

import os
import platform
import subprocess
import sys

import pytest

glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or "MALLOC_TRIM_THRESHOLD_" in os.environ,
    reason="other C libraries have their own ways, and here may be another choice",
)
ROUND_PAGES = 2 * (1 << 20) // 4096
PROGRAM = """
import resource
import numpy as np
{first}

def pages_of_rounds():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        arrays = [np.ones(1 << 20, np.uint8) for _ in range(2)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages_of_rounds()
print(pages_of_rounds())
"""


def pages_of_fifty_rounds(first, **environment):
    """Return how many new pages a process touches that makes and drops two MiB, fifty times."""
    return int(
        subprocess.run(
            [sys.executable, "-c", PROGRAM.format(first=first)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )


@glibc
@pytest.mark.parametrize("executor", ["dyngraph", "staticgraph"])
def test_memory_of_dead_arrays_is_used_again(executor):
    assert pages_of_fifty_rounds(f"import {executor}") < 2 * ROUND_PAGES


@glibc
def test_who_sets_the_thresholds_of_the_c_library_has_chosen():
    pages = pages_of_fifty_rounds("import dyngraph", MALLOC_TRIM_THRESHOLD_="131072")
    assert pages > 25 * ROUND_PAGES


def test_an_address_space_too_small_for_it_is_no_failure():
    program = (
        "from oplibrary.executors import warm_memory as w\n"
        "w.LARGEST = 1 << 62\n"
        "w.keep_memory_warm()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
