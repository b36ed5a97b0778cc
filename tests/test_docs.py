"""The generated pages are those of the code, and the README's programs run."""

import importlib.util
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["ops.md", "errors.md"])
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
@pytest.mark.filterwarnings("ignore::common.errors.NonLeafGradWarning")
@pytest.mark.parametrize("program", programs("README.md") + programs("docs/tutorial.md"))
def test_programs_of_the_documents_run(program, tmp_path):
    path = tmp_path / "program.py"  # a file, so that errors can show its lines
    path.write_text(program)
    runpy.run_path(str(path))


def test_every_error_has_its_texts():
    from common.errors import catalogue

    ids = [error.id for error in catalogue()]
    assert len(ids) == len(set(ids))
    for error in catalogue():
        assert error.title, error
        assert error.explanation, error
        assert error.remedy, error
        assert re.fullmatch(r"SBS-[1-4]\d\d", error.id)
