"""Change the code in 200 places, one at a time, and see which changes no test notices.

``python -m tests.mutation.run`` draws the mutants by a seed, makes each in a copy of the project,
and runs the tests of the op there, then for a survivor all tests. Each outcome is a line of JSON in
a file, so that a run that was ended goes on where it stood; ``--summary`` shows what is recorded.
"""

import argparse
import ast
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutation.mutants import KINDS, Mutant, draw, op_names

ROOT = Path(__file__).parent.parent.parent
COPIED = ("src", "tests", "docs", "bench", "examples", "pyproject.toml", "README.md", "Makefile")
MANY = 12
"""Files that name an op; of those that name it more often, only these are the op's own tests."""
EVERY_OP = ("tests/common/test_registry.py", "tests/staticgraph/test_native_ops.py")
BY_OTHER_NAMES = (
    "tests/staticgraph/test_native_plans.py",
    "tests/staticgraph/test_native_complex.py",
    "tests/common/test_complex_gradients.py",
    "tests/common/test_distributions.py",
)
"""Files whose tests call ops as operators, by functions that are made of them, or all of a kind."""
OF_PLANS = (
    ("test_native_plans",),
    ("test_native_faults", "test_native_build", "test_native_sharing", "test_native_memory"),
    ("test_native_fuzz", "test_native_loops", "test_native_zeros", "test_native_numbers"),
    ("test_native_control", "test_native_products", "test_native_workloads", "test_backends"),
)
OUTCOMES = Path(__file__).parent / "outcomes.jsonl"
"""What has been found so far, which is kept with the project."""
LIMIT = 300
"""Seconds of processor time for one call of pytest; a mutant that takes longer is caught, as a loop
without end. What waits in place of computing may take ``PATIENCE`` times as long."""
PATIENCE = 40


def copy_project(folder: Path) -> None:
    """Copy what the tests need, so that no mutant is ever made in the project itself."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        elif source.exists():
            shutil.copy2(source, folder / name)


def write(path: Path, text: str) -> None:
    """Write a module; its bytecode goes, which only sees whole seconds."""
    path.write_text(text)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def run_tests(folder: Path, arguments: list[str], limit: float = LIMIT) -> tuple[bool, str]:
    """Return whether the tests pass in a copy, and what failed first."""
    paths = os.pathsep.join([str(folder / "src" / "common"), str(folder / "src")])
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=no", "-p", "no:randomly"]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        # machine code is found by the text that it is made from: what a mutant leaves as it is
        # is made once for all of them
        env={**os.environ, "PYTHONPATH": paths, "SIDEBYSIDE_CACHE": str(folder.parent / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if hasattr(resource, "prlimit"):  # the processor's time says the same on a busy machine
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (int(limit), int(limit)))
    try:
        output, _ = process.communicate(timeout=PATIENCE * limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False, f"no end within {PATIENCE * limit:.0f} s, most of which it waited"
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return False, f"no end within {limit:.0f} s"
    if process.returncode in (0, 5):  # 5: no test of these names
        return True, ""
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)
    return False, failed[1] if failed else output.strip().rpartition("\n")[2]


def stages(mutant: Mutant, folder: Path) -> list[list[str]]:
    """Return arguments of pytest, the tests of the op in the order in which they are tried."""
    if mutant.kind == "planner":
        return [[f"tests/staticgraph/{name}.py" for name in files] for files in OF_PLANS]
    names = ops_by(mutant, folder)
    chosen = " or ".join(f"{name}-" for name in names)
    found = [[*EVERY_OP, "-k", chosen]]
    word = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
    counts = {
        str(path.relative_to(folder)): len(word.findall(path.read_text()))
        for below in ("common", "dyngraph")
        for path in sorted((folder / "tests" / below).glob("test_*.py"))
    }
    own = f"tests/common/test_{Path(mutant.file).stem}.py"
    files = [each for each in sorted(counts, key=lambda each: -counts[each]) if counts[each]]
    files = [own] * ((folder / own).exists() and own not in files[:MANY]) + files[:MANY]
    kinks = ["tests/common/test_kinks.py", "-k", chosen]
    return [*found, kinks, *([files] if files else []), list(BY_OTHER_NAMES)]


def ops_by(mutant: Mutant, folder: Path) -> tuple[str, ...]:
    """Return the ops of a mutant; where its file enters none, those of the files that use it."""
    stem = Path(mutant.file).stem
    if mutant.names != (stem,):
        return mutant.names
    found = {stem}
    for path in sorted((folder / mutant.file).parent.glob("*.py")):
        text = path.read_text()
        if f"from oplibrary.ops.{stem} import" in text:
            _, entered = op_names(ast.parse(text))
            found.update(*entered.values())
    return tuple(sorted(found))


def judge(mutant: Mutant, folder: Path, whole_suite: bool) -> dict:
    """Make a mutant in a copy, run the tests, and undo it."""
    path = folder / mutant.file
    original = path.read_text()
    start = time.monotonic()
    outcome, test = "survived the tests of the op", ""
    tried = [(arguments, LIMIT, "tests of the op") for arguments in stages(mutant, folder)]
    if whole_suite:
        tried.append((["tests"], 12 * LIMIT, "whole suite"))
        outcome = "survived"
    unsound: list[str] = []  # fail without the mutant, too, and so say nothing
    for arguments, limit, which in tried:
        passed = False
        while not passed:
            leave_out = [f"--deselect={each}" for each in unsound]
            write(path, mutant.apply(original))
            try:
                passed, test = run_tests(folder, [*arguments, *leave_out], limit)
            finally:
                write(path, original)
            if passed or "::" not in test or run_tests(folder, [test])[0]:
                break
            unsound.append(test)
        if not passed:
            outcome = f"caught by the {which}"
            break
    seconds = round(time.monotonic() - start, 1)
    return mutant.record() | {"outcome": outcome, "test": test, "seconds": seconds}


def read_records(path: Path) -> dict[str, dict]:
    """Return what is recorded already, by mutant; the last word on each counts."""
    records = {}
    if path.exists():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            fields = {name: record[name] for name in Mutant.__dataclass_fields__}
            records[Mutant(**fields | {"names": tuple(record["names"])}).key] = record
    return records


def summary(records: list[dict]) -> str:
    """Return the counts by kind, and every survivor."""
    lines = []
    for kind in KINDS:
        outcomes = Counter(r["outcome"] for r in records if r["kind"] == kind)
        total = sum(outcomes.values())
        caught = sum(n for outcome, n in outcomes.items() if outcome.startswith("caught"))
        lines.append(f"{kind}: {caught} of {total} caught")
    for record in records:
        if record["outcome"].startswith("survived"):
            before, after = (" ".join(record[each].split()) for each in ("before", "after"))
            where = f"{record['file']}:{record['line']}"
            lines.append(f"{record['outcome']}: {where} ({', '.join(record['names'])})")
            lines.append(f"    {before}\n    {after}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 1 if less than 95% were caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many mutants are drawn")
    parser.add_argument("--first", type=int, help="run so many of them only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help="run those of one kind only")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin none after")
    parser.add_argument("--ops-only", action="store_true", help="no whole suite for survivors")
    parser.add_argument("--record", type=Path, default=OUTCOMES)
    parser.add_argument("--summary", action="store_true", help="show what is recorded")
    parser.add_argument("--list", action="store_true", help="show what is drawn")
    options = parser.parse_args(arguments)
    drawn = draw(ROOT, options.count, options.seed)[: options.first]
    drawn = [mutant for mutant in drawn if options.kind in (None, mutant.kind)]
    records = read_records(options.record)
    if options.list:
        for mutant in drawn:
            print(f"{mutant.kind}: {mutant.key}")
        return 0
    whole_suite = not options.ops_only
    done = [mutant for mutant in drawn if _is_known(records.get(mutant.key), whole_suite)]
    if not options.summary:
        options.record.parent.mkdir(parents=True, exist_ok=True)
        _run([each for each in drawn if each not in done], options, whole_suite)
        records = read_records(options.record)
    found = [records[mutant.key] for mutant in drawn if mutant.key in records]
    print(summary(found))
    caught = sum(record["outcome"].startswith("caught") for record in found)
    return int(caught < 0.95 * len(found))


def _is_known(record: dict | None, whole_suite: bool) -> bool:
    """Return whether nothing is left to run of a mutant."""
    outcome = record["outcome"] if record else ""
    return outcome.startswith("caught" if whole_suite else ("caught", "survived")) or (
        outcome == "survived"
    )


def _run(mutants: list[Mutant], options: argparse.Namespace, whole_suite: bool) -> None:
    """Judge mutants, several at a time, each in a copy that nobody else uses."""
    end = time.monotonic() + 60 * options.minutes
    lock = threading.Lock()
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        free: SimpleQueue[Path] = SimpleQueue()
        for job in range(options.jobs):
            copy_project(Path(name) / str(job))
            free.put(Path(name) / str(job))

        def one(mutant: Mutant) -> None:
            if time.monotonic() > end:
                return
            folder = free.get()
            try:
                record = judge(mutant, folder, whole_suite)
            finally:
                free.put(folder)
            with lock, options.record.open("a") as file:
                file.write(json.dumps(record) + "\n")
                print(f"{record['seconds']:6.1f} s  {record['outcome']}: {mutant.key}", flush=True)

        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(one, mutants))


if __name__ == "__main__":
    sys.exit(main())
