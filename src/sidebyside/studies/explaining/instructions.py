"""Count the instructions of a call, which do not vary as times do: a second witness.

Valgrind's cachegrind runs a program on a machine of its own. The same program is run with few
calls and with more; the difference is that of the calls. What a library does depends on the
processor that it finds, and valgrind's has no instructions newer than AVX2: counts may be those of
other machine code than times.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from oplibrary.messages.errors import MissingPackageError
from sidebyside.measuring.travel import pack, unpack
from sidebyside.modes import Mode, find_mode
from sidebyside.studies.subject import Subject

FEW = 5
"""Calls of the first run; the second one has so many more that they stand out of its start."""

SECONDS = 0.1
"""What those take about, outside of valgrind."""


def check_installed() -> None:
    """Refuse to count where that cannot be done.

    Raises
    ------
    MissingPackageError
    """
    if shutil.which("valgrind") is None:
        raise MissingPackageError(
            "counting instructions needs valgrind",
            cause="there is no program of that name",
            fix="install valgrind, or leave instructions out",
        )


def count_instructions(
    subject: Subject, label: str, call: float, time_limit: float = 300.0
) -> float | None:
    """Return the instructions of a call of a program in one mode; None where it does not run.

    Parameters
    ----------
    subject : Subject
    label : str
    call : float
        Seconds of a call, about.
    time_limit : float
        Seconds of each of the two runs.
    """
    packed = pack((subject.packed_modes()[label], subject.workload, subject.inputs))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program")
        path.write_bytes(packed)
        calls = int(min(10_000, max(20, SECONDS / call)))
        few, more = (_run(path, count, time_limit) for count in (FEW, FEW + calls))
    return None if few is None or more is None else max(0.0, (more - few) / calls)


def _run(path: Path, calls: int, time_limit: float) -> int | None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        f"from {__name__} import run_packed; run_packed({str(path)!r}, {calls})"
    )
    command = [
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",
        f"--cachegrind-out-file={path}.out",
        sys.executable,
        "-c",
        code,
    ]
    # one thread, and no random order of sets: two runs shall differ by their calls only
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    # nor may the second find what the first one built
    environment["SIDEBYSIDE_CACHE"] = "off"
    environment["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment,
            timeout=time_limit,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    return int(found[1].replace(",", "")) if found else None


def run_packed(path: str, calls: int) -> None:
    """Run a program that `pack` wrote: what valgrind's process does."""
    mode, workload, inputs = unpack(Path(path).read_bytes())
    found: Mode = unpack(mode) if isinstance(mode, bytes) else find_mode(mode)
    run = found.prepare(workload, inputs).run
    for _ in range(calls):
        run()
