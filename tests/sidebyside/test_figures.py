"""Figures of the HTML report: what they show, how they are drawn, what a browser makes of them."""

import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import numpy as np
import pytest

from sidebyside.measuring.bottleneck import Overhead, Work, find_bottleneck
from sidebyside.measuring.environment import environment
from sidebyside.measuring.machine import Machine
from sidebyside.measuring.replicates import ratio_estimate, time_estimate
from sidebyside.measuring.statistics import CONFIDENCE, BreakEven, Estimate
from sidebyside.report.figures import comparison as drawn
from sidebyside.report.figures import drawing
from sidebyside.results.comparison import Comparison, Replicate, Row, TimedCell
from sidebyside.results.plain import plain
from sidebyside.results.result import RENDERERS
from sidebyside.studies.explaining.attribution import Climbed, steps_of

MACHINE = Machine({1 << 15: 5e10, 1 << 26: 1e10}, {"float32": 1e11, "float64": 5e10}, 1e9)
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


def cell(mode, seconds, start, even=None, reference=1.0, **options):
    replicates = tuple(
        Replicate(start, start, seconds * np.array([0.99, 1.0, 1.0, 1.01])) for _ in range(3)
    )
    blocks = [each.blocks for each in replicates]
    ratio = (
        None if even is None else ratio_estimate(blocks, [block * reference for block in blocks])
    )
    work = Work(20, 8000, False, 10_000, 10_000)
    steady = time_estimate([each.steady for each in replicates])
    return TimedCell(
        mode,
        steady=Estimate(steady.value, seconds * 0.99, seconds * 1.01, CONFIDENCE, 8),
        start=time_estimate([start] * 3),
        ratio=ratio,
        break_even=even,
        replicates=replicates,
        work=work,
        bottleneck=find_bottleneck(work, seconds, Overhead(1e-6, 1e-7), MACHINE),
        **options,
    )


def climbed(*seconds):
    names = ("operation by operation", *(f"step <{n}>" for n in range(len(seconds) - 2)), "nothing")
    values = np.array([seconds, seconds]) * [[1.0], [1.001]]
    return steps_of(Climbed(names, (None,) * len(names), values), CONFIDENCE)


def row_of(size, several=True, **options):
    even = BreakEven(200.0, 150.0, 260.0, True)
    seconds, others = 2e-8 * size + 4e-6, 1e-8 * size + 2e-5
    dynamic = cell("dynamic", others, 1e-4)
    static = cell("static", seconds, 4e-3, even, others / seconds, **options)
    return Row("chain", "a <chain>", f"{size:,}", (dynamic, static), "dynamic", several=several)


def compared(*rows):
    return Comparison(rows, {**environment(), "machine": plain(MACHINE)})


ONE = row_of(1000, several=False, steps=climbed(2e-5, 9e-6, 9.5e-6, 4e-6, 1e-6))
WHOLE = compared(ONE)
SWEPT = compared(*(row_of(size) for size in (10, 1000, 3000)))


def values_of(spec):
    """Return the data of each layer."""
    return [each["data"]["values"] for each in spec["layer"] if "data" in each]


# what they show -----------------------------------------------------------------------------------


def test_total_time_crosses_where_a_mode_pays():
    figure = drawn.cumulative(ONE)
    band, rule, lines = values_of(figure.spec)
    assert band is not None and (rule[0]["low"], rule[0]["high"]) == (150.0, 260.0)
    static = {each["calls"]: each["seconds"] for each in lines if each["mode"] == "static"}
    assert static[1.0] == pytest.approx(4e-3)
    assert max(static) > 260
    for even in (None, BreakEven(math.inf, 50, math.inf, True), BreakEven(9, 1, math.inf, False)):
        cells = (ONE.cells[0], cell("static", 4e-6, 4e-3, even))
        assert len(drawn.cumulative(Row("w", "", "", cells)).spec["layer"]) == 1
    assert drawn.cumulative(Row("w", "", "", ONE.cells[:1])) is None


def test_steps_of_a_waterfall_touch_and_end_at_what_is_left():
    bars = drawn.waterfall(ONE.cells[1]).spec["data"]["values"]
    for above, below in pairwise(bars[:-1]):
        assert below["from"] == above["to"]
    left = bars[-1]
    assert (left["from"], left["kind"]) == (0.0, "left")
    assert left["to"] == bars[-2]["to"]
    assert [bar["kind"] for bar in bars] == ["total", "saved", "added", "saved", "saved", "left"]
    assert bars[2]["label"] == "+500 ns"


def test_samples_are_those_of_all_replicates():
    ticks, medians, _ = values_of(drawn.distributions(ONE).spec)
    static = [each["seconds"] for each in ticks if each["mode"] == "static"]
    blocks = np.concatenate([each.blocks for each in ONE.cells[1].replicates])
    assert (min(static), max(static)) == (blocks.min(), blocks.max())
    assert [each["mode"] for each in medians] == ["dynamic", "static"]
    assert drawn.distributions(Row("w", "", "", (TimedCell("dynamic"),))) is None


def test_sizes_show_where_modes_change_places():
    figure = drawn.sizes(SWEPT, "chain")
    crossings = values_of(figure.spec)[0]
    (crossing,) = crossings
    assert crossing["mode"] == "static"
    assert crossing["size"] == pytest.approx(1600, rel=0.2)
    assert crossing["low"] <= crossing["size"] <= crossing["high"]
    assert "change places" in figure.caption
    assert drawn.sizes(WHOLE, "chain") is None


def test_no_program_stands_above_the_roofs():
    roofs, points, names = values_of(drawn.roofline(SWEPT).spec)
    assert max(roof["rate"] for roof in roofs) == MACHINE.products["float32"]
    memory = next(roof for roof in roofs if roof["main"])
    assert memory["rate"] == pytest.approx(1e10 * memory["intensity"])
    assert all(point["intensity"] == 2.5 for point in points)
    assert len(points) == 6 and [each["workload"] for each in names] == ["chain"]
    assert drawn.roofline(Comparison(SWEPT.rows, environment())) is None


# how they are drawn -------------------------------------------------------------------------------


def test_without_the_library_the_page_says_how_to_get_figures(monkeypatch):
    monkeypatch.setattr(drawing, "can_draw", lambda: False)
    monkeypatch.setattr("sidebyside.report.comparison.can_draw", lambda: False)
    html = RENDERERS[Comparison].html(WHOLE)
    assert html.count("pip install &#x27;sidebyside[plots]&#x27;") == 1
    assert "<figure>" not in html
    assert "step &lt;1&gt;" in html  # the numbers are there


def test_a_notebook_shows_tables_alone():
    assert "<figure>" not in WHOLE._repr_html_()


@pytest.fixture(scope="module")
def page():
    pytest.importorskip("vl_convert")
    return RENDERERS[Comparison].html(compared(ONE, *SWEPT.rows[:2]))


CAPTIONS = ("Time of all calls", "Samples of a call", "Where static saves", "Every program below")


def test_a_page_has_its_figures_in_its_own_colours_and_needs_no_other_file(page):
    assert all(caption in page for caption in CAPTIONS)
    figures = re.findall(r"<figure>(.*?)</figure>", page, re.DOTALL)
    assert len(figures) == 3 + 2 + 2 + 2
    used = {name for svg in figures for name in re.findall(r"var\(--([\w-]+)\)", svg)}
    assert {"text", "line", "series-1", "series-2"} <= used
    assert all(f"--{name}:" in page for name in used)
    for svg in figures:
        assert not re.search(r'"#0101|"#0102', svg)
        assert ElementTree.fromstring(svg.partition("<figcaption>")[0]).get("aria-label")
    addresses = set(re.findall(r"https?://[^\"' ]+", page))
    assert all(address.startswith("http://www.w3.org/") for address in addresses)
    assert "<script" not in page
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names))


def test_what_was_found_comes_first(page):
    assert page.index('<ul class="short">') < page.index("<h3>") < page.index("<figure>")
    assert "<chain>" not in page


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_a_browser_shows_every_figure_and_reports_no_error(page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    probe = (
        "<script>addEventListener('load', () => { const found = [...document.querySelectorAll("
        "'figure svg')].map(svg => { const box = svg.getBoundingClientRect(); return "
        "[box.width > 100, box.height > 50, svg.querySelector('[role=graphics-symbol]') !== null,"
        "getComputedStyle(svg.querySelector('text')).fill.startsWith('rgb')].every(Boolean); });"
        "document.title = 'figures ' + found.length + ' ' + found.every(Boolean); });</script>"
    )
    path.write_text(page.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}"]
    done = subprocess.run(
        [BROWSER, *flags, "--enable-logging=stderr", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert f"<title>figures {page.count('<figure>')} true</title>" in done.stdout, done.stderr
    assert "CONSOLE" not in done.stderr
