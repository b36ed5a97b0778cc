"""Run the test suite of the array API standard on both modes and on NumPy, and count.

    python -m tests.standard.run_suite path/to/array-api-tests --examples 20

prints the table of docs/standard.md. NumPy is run for comparison: its failures are told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
STATIC = "tests.standard.static_namespace"
NAMESPACES = {
    "NumPy": ("numpy", ""),
    "dyngraph": ("dyngraph", ""),
    "staticgraph, numpy": (STATIC, "numpy"),
    "staticgraph, native": (STATIC, "native"),
}
"""Module and backend of each namespace, by the name that the table has for it."""
VERSIONS = ("2025.12", "2024.12")


class Counts(NamedTuple):
    """How many tests passed and were skipped in a run, and the names of those that failed."""

    passed: int
    skipped: int
    failed: frozenset[str]

    @classmethod
    def of(cls, report: Path) -> Counts:
        """Read the report of a run, a file of pytest-json-report."""
        tests = json.loads(report.read_text())["tests"]
        by = {kind: [t["nodeid"] for t in tests if t["outcome"] == kind] for kind in _KINDS}
        failed = frozenset(by["failed"]) | frozenset(by["error"])
        return cls(len(by["passed"]), len(by["skipped"]), failed)


_KINDS = ("passed", "skipped", "failed", "error")


def run(suite: Path, name: str, version: str, examples: int, report: Path) -> Counts:
    """Run the suite on one namespace and return what it found."""
    module, backend = NAMESPACES[name]
    found = {
        "ARRAY_API_TESTS_MODULE": module,
        "ARRAY_API_TESTS_VERSION": version,
        "STATIC_NAMESPACE_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.getenv("PYTHONPATH")])]),
    }
    command = [sys.executable, "-m", "pytest", "-q", "array_api_tests", "--disable-deadline"]
    command += [f"--max-examples={examples}", "--json-report", f"--json-report-file={report}"]
    if backend:  # a graph's shapes do not depend on values
        command.append("--disable-data-dependent-shapes")
    subprocess.run(command, cwd=suite, env={**os.environ, **found}, check=False)
    return Counts.of(report)


def table(rows: Iterable[tuple[str, str, int, Counts]]) -> str:
    """Return the rows, each of name, version, examples and counts, as a table."""
    rows = list(rows)
    numpys = {version: found.failed for name, version, _, found in rows if name == "NumPy"}
    lines = [
        "| namespace | standard | examples | passed | skipped | failed | NumPy fails, too |",
        "|:--|:--|--:|--:|--:|--:|--:|",
    ]
    for name, version, examples, found in rows:
        shared = len(found.failed & numpys.get(version, frozenset()))
        cells = (name, version, examples, found.passed, found.skipped, len(found.failed), shared)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for name, version, _, found in rows:
        ours = sorted(found.failed - numpys.get(version, frozenset()))
        lines += [f"\n{name}, {version}, alone: `{each}`" for each in ours]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", type=Path, help="a clone of data-apis/array-api-tests")
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--versions", nargs="+", default=VERSIONS)
    parser.add_argument("--namespaces", nargs="+", default=list(NAMESPACES))
    parser.add_argument("--reports", type=Path, default=ROOT / "build" / "standard")
    asked = parser.parse_args()
    asked.reports.mkdir(parents=True, exist_ok=True)
    rows = []
    for version in asked.versions:
        for name in asked.namespaces:
            report = asked.reports / f"{name.replace(', ', '-')}-{version}-{asked.examples}.json"
            found = run(asked.suite, name, version, asked.examples, report.resolve())
            rows.append((name, version, asked.examples, found))
    print(f"\n{date.today()}, {asked.examples} examples\n\n{table(rows)}")


if __name__ == "__main__":
    main()
