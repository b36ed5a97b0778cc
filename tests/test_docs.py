"""Generated pages are those of the code, programs in documents run, links lead somewhere."""

import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    str(path.relative_to(ROOT))
    for folder in (".", "docs", "examples", "bench")
    for path in (ROOT / folder).glob("*.md")
)
WITH_PROGRAMS = [page for page in PAGES if page not in ("docs/errors.md", "CONTRIBUTING.md")]
"""Pages whose programs run by themselves; those of the errors ran when the page was made."""


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", generator().PAGES)
def test_generated_pages_are_up_to_date(name):
    text = generator().PAGES[name]()
    assert (ROOT / "docs" / name).read_text() == text, "run `make docs`"


def programs(name):
    text = (ROOT / name).read_text()
    return [
        pytest.param(block, id=f"{name}-{number}")
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    ]


# the seed's program asks for it on purpose
@pytest.mark.filterwarnings("ignore::oplibrary.errors.NonLeafGradWarning")
@pytest.mark.parametrize("program", [p for page in WITH_PROGRAMS for p in programs(page)])
def test_programs_of_the_documents_run(program, tmp_path, capsys):
    for package in ("torch", "jax", "onnx", "tensorflow"):  # not installed everywhere
        if re.search(rf"^import {package}( as \w+)?$", program, re.MULTILINE):
            pytest.importorskip(package)
    path = tmp_path / "program.py"  # a file, so that errors can show its lines
    path.write_text(program)
    runpy.run_path(str(path))
    printed = capsys.readouterr().out.splitlines()
    shown = re.findall(r"^# (.*)$", program, re.MULTILINE)
    if shown and program.rstrip().endswith(f"\n# {shown[-1]}"):  # its end says what it prints
        assert printed == shown


# links --------------------------------------------------------------------------------------------


def anchors(page):
    """Return what a link may name in a page, as GitHub makes it from the headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings_that_exist(name):
    page = ROOT / name
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{name} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{name} links to {link}"


def test_every_page_and_every_example_is_linked():
    linked = (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in linked
    listed = (ROOT / "examples" / "README.md").read_text()
    for example in (ROOT / "examples").glob("*.py"):
        assert f"[{example.name}]({example.name})" in listed


def test_every_error_has_its_texts():
    from sidebyside.errors import catalogue

    ids = [error.id for error in catalogue()]
    assert len(ids) == len(set(ids))
    for error in catalogue():
        assert error.title, error
        assert error.explanation, error
        assert error.remedy, error
        assert re.fullmatch(r"SBS-\d{3}", error.id)
        assert int(error.id[4]) in generator().FAMILIES


# the distribution ---------------------------------------------------------------------------------


def test_the_version_stands_in_one_place_and_has_a_changelog_entry():
    import tomllib

    import sidebyside

    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in told["project"] and "version" in told["project"]["dynamic"]
    source = ROOT / told["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{sidebyside.__version__}"' in source.read_text().splitlines()
    entries = re.findall(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert entries[0] == sidebyside.__version__
    assert told["project"]["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n")


def test_every_supported_python_is_tested_by_the_hosted_workflow():
    import tomllib

    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = [name.rpartition(" ")[2] for name in told if re.search(r":: 3\.\d+$", name)]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    matrix = re.search(r"python-version: \[(.*)\]", workflow).group(1)
    assert supported == re.findall(r'"(.*?)"', matrix)
    for version in supported:
        assert version in (ROOT / "Makefile").read_text()


# recipes ------------------------------------------------------------------------------------------


def recipes():
    """Return the program that each section of the guide for contributors comes to."""
    sections = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    found = {}
    for section in sections[1:]:
        blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        if blocks:
            found[section.partition("\n")[0]] = "\n".join(blocks)
    return found


@pytest.mark.parametrize("title", recipes())
def test_recipes_run(title, tmp_path):
    # in a process of its own: what they enter is not for the other tests
    path = tmp_path / "recipe.py"
    path.write_text(recipes()[title])
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_is_a_recipe_for_all_that_is_added_often():
    added = ("op", "pass", "backend", "column", "framework")
    assert [*recipes()] == [f"A new {each}" for each in added]


def test_recipes_name_places_that_exist():
    text = re.sub(r"```.*?```", "", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)
    for path in re.findall(r"`((?:src|tests|docs)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path
