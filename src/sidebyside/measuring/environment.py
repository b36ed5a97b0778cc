"""The machine that a measurement is made on, and all that its results may depend on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

_THREAD_VARIABLES = (
    "SIDEBYSIDE_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

COMPUTING = ("sidebyside", "numpy", "scipy", "ml_dtypes", "networkx", "llvmlite")
"""Packages that our own modes compute with."""

RECORDED = {
    "date": "when the measurement began, in UTC, as ISO 8601 has it",
    "commit": "of the repository that the program lies in, else that of the folder at hand; "
    "`-dirty` behind it where tracked files were changed; null where there is none",
    "host": "name of the machine",
    "processor": "as the system calls it",
    "system": "and its architecture",
    "kernel": "release of the system",
    "cores": "that this process may run on",
    "load": "processes that wanted a core in the minute before; null where that is not known",
    "python": "version",
    "versions": "of each package that may compute something, by its name",
    "threads": "that each mode is to use",
    "thread_variables": "environment variables that set them, with their values",
    "pools": "for each mode the pools of threads that its process had: `library`, `version`, "
    "`threads`, `architecture`; JAX does not say how many it has",
    "settings": "what the measurement was asked for: `budget`, `replicates`, `seed`, `tolerance` "
    "by the program, `time_limit`, `validate`, `instructions`, `attribute`",
    "machine": "the best rates that were measured, where it is said what bounds a program: "
    "`copies`, bytes a second by the bytes of the copy; `products`, operations a second by dtype; "
    "`functions`, values of tanh a second",
    "collector": "when the garbage collector ran",
    "order": "of the modes",
    "one_process": "why all was measured in one process; empty where it was not",
    "interrupted": "true where the measurement was ended from outside",
}
"""What `environment` and those who measure record, and what it says."""


def core_count() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count() -> int:
    """Return how many threads every mode is to use: what the environment says, or all cores."""
    for variable in _THREAD_VARIABLES[1:]:
        setting = os.environ.get(variable, "")
        if setting.isdigit() and int(setting) > 0:
            return min(int(setting), core_count())
    return core_count()


def load_average() -> float | None:
    """Return how many processes wanted a core in the last minute, where that is known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def environment(packages: Sequence[str] = (), folder: str | Path | None = None) -> dict[str, Any]:
    """Describe the machine and how the measurement is made.

    Parameters
    ----------
    packages : sequence of str
        Further packages whose version matters; those not installed are left out.
    folder : path, optional
        Where the program lies, whose commit is recorded; by default the folder at hand.
    """
    from importlib import metadata

    versions = {}
    for package in dict.fromkeys((*COMPUTING, *packages)):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit_of(folder or Path.cwd()),
        "host": platform.node(),
        "processor": processor_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "kernel": platform.release(),
        "cores": core_count(),
        "load": load_average(),
        "python": platform.python_version(),
        "versions": versions,
        "threads": thread_count(),
        "thread_variables": {
            name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ
        },
        "collector": "off during samples, run between rounds",
        "order": "drawn at random in each round",
    }


@cache
def processor_name() -> str:
    """Return what the system calls the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Hardware", "cpu model"):
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit_of(folder: str | Path) -> str | None:
    """Return the commit of the repository around a folder, ``-dirty`` behind it if changed.

    None where there is no repository, or git is not installed.
    """
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(
            [*command, "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def thread_pools() -> list[dict[str, Any]]:
    """Return the pools of threads that the libraries in this process have."""
    from threadpoolctl import threadpool_info

    found = [
        {
            "library": each["internal_api"],
            "version": each["version"],
            "threads": each["num_threads"],
            "architecture": each.get("architecture"),
        }
        for each in threadpool_info()
    ]
    own: Any = sys.modules.get("oplibrary.machine.pool")  # of machine code, where there is any
    if own is not None:
        found.append(
            {
                "library": "sidebyside",
                "version": None,
                "threads": own.thread_count(),
                "architecture": None,
            }
        )
    return found
