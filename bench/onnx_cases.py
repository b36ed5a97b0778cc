"""Try all of ONNX's own cases of single operators, and write docs/onnx_cases.md.

Run from the top of the repository, where ``onnx`` is installed: ``python -m bench.onnx_cases``.
"""

import warnings
from collections import Counter, defaultdict
from pathlib import Path

import onnx
from tests.staticgraph.onnx_cases import KNOWN, REFUSED, RIGHT, WRONG, Outcome, all_cases, outcome

PAGE = Path(__file__).parent.parent / "docs" / "onnx_cases.md"


def page(outcomes: list[Outcome]) -> str:
    """Return the page with what became of each operator's cases."""
    counts = Counter(each.what for each in outcomes)
    lines = [
        "# ONNX's own cases",
        "",
        f"The package `onnx` {onnx.__version__} comes with {len(outcomes)} models of one operator, "
        "or of what one is made of, with",
        "inputs and outputs. `python -m bench.onnx_cases` reads each with `sg.from_onnx`, runs it",
        "in both modes, which must give the same bits, compares it with the outputs, and writes",
        "this page.",
        "",
        "| | cases |",
        "|---|---|",
        f"| right | {counts[RIGHT]} |",
        f"| right, with the inputs that decide shapes passed as `constants=` | {counts[KNOWN]} |",
        f"| refused by a named error | {counts[REFUSED]} |",
        f"| wrong | {counts[WRONG]} |",
        "",
        "Half floats are right if they differ by a rounding of the largest number.",
        "",
        "## By operator",
        "",
        "| operator | right | shapes known | refused |",
        "|---|---|---|---|",
    ]
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for each in outcomes:
        table[each.operator][each.what] += 1
    for name, found in sorted(table.items()):
        cells = [str(found[what] or "") for what in (RIGHT, KNOWN, REFUSED)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "## What is refused", "", "| why | cases |", "|---|---|"]
    reasons = Counter(_reason(each.said) for each in outcomes if each.what == REFUSED)
    lines += [f"| {reason} | {count} |" for reason, count in sorted(reasons.items())]
    return "\n".join(lines) + "\n"


def _reason(said: str) -> str:
    text = said.partition("] ")[2].partition(" (node")[0].replace("|", "\\|")
    subject, colon, rest = text.partition(": values of type ")
    return f"values of type {rest}" if colon and subject else text.partition(": ONNX")[0]


def main() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcomes = [outcome(case, modes=True) for case in all_cases()]
    wrong = [each for each in outcomes if each.what == WRONG]
    for each in wrong:
        print(each)
    PAGE.write_text(page(outcomes))
    print(Counter(each.what for each in outcomes))
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
