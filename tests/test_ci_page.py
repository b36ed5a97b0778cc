"""What docs/ci.md shows is what the command line takes, and the workflow is one."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from sidebyside.cli import make_parser

PAGE = (Path(__file__).parent.parent / "docs" / "ci.md").read_text()
COMMANDS = re.findall(r"^ *(?:run: |- run: )?(sidebyside (?!\[).*)$", PAGE, re.MULTILINE)


def workflow():
    yaml = pytest.importorskip("yaml")
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    return yaml.safe_load(text)


def test_the_page_shows_the_commands():
    named = {shlex.split(each)[1] for each in COMMANDS}
    assert named == {"compare", "diff", "history"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command):
    options = make_parser().parse_args(shlex.split(command)[1:])
    assert callable(options.command)


def test_the_workflow_measures_both_commits_and_compares_what_it_wrote():
    found = workflow()
    assert set(found) == {"name", True, "permissions", "jobs"}  # YAML takes "on" for a bool
    (job,) = found["jobs"].values()
    assert {"runs-on", "steps"} <= set(job)
    assert all(("run" in step) != ("uses" in step) for step in job["steps"])
    runs = [step["run"] for step in job["steps"] if "run" in step]
    text = "\n".join(runs)
    saved = re.findall(r"--save (\S+)", text)
    assert saved == ["old.json", "new.json"]
    assert f"sidebyside diff {' '.join(saved)} --fail-if-slower 5%" in text
    written = re.search(r"--markdown (\S+)", text).group(1)
    assert f"cat {written} >>" in text


def test_the_options_of_pytest_benchmark_are_its_own():
    plugin = pytest.importorskip("pytest_benchmark.plugin")
    parser = argparse.ArgumentParser()

    class Group:
        addoption = staticmethod(parser.add_argument)

    class Parser:
        getgroup = staticmethod(lambda name: Group)

    plugin.pytest_addoption(Parser)
    for line in re.findall(r"^ +pytest (.*)$", PAGE, re.MULTILINE):
        parser.parse_args(shlex.split(line))
