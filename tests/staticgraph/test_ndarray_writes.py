"""Writes of nodes into arrays that NumPy made inside of a trace: the line that is printed runs."""

import importlib.util
import re
import textwrap

import numpy as np
import pytest

import staticgraph as sg
from staticgraph.errors import SymbolicArrayError

PROGRAMS = {
    "element": """
        out = np.zeros(3)
        for i in range(3):
            out[i] = x[i] * 2
    """,
    "column": """
        out = np.empty((3, 2))
        out[:, 0] = x
        out[:, 1] = x * 2
    """,
    "mask": """
        out = np.zeros(3)
        out[x > 1] = 1
    """,
    "added to a part": """
        out = np.ones(3)
        out[1:] += x[1:]
    """,
    "added to an element": """
        out = np.ones(3)
        out[1] += x[1]
    """,
    "several targets": """
        out = np.zeros(3)
        out[0], out[1] = x[0], x[1]
    """,
    "a list": """
        out = np.zeros(3)
        out[:] = [v * 2 for v in x]
    """,
    "of integers": """
        out = np.zeros(3, int)
        out[0] = x[1]
    """,
    "a row of it": """
        out = np.zeros((2, 3))
        for i, row in enumerate(out):
            row[:] = x * i
    """,
    "made of others": """
        scale = np.arange(3.0)
        out = scale * 2 + 1
        out[1] = x[1]
    """,
    "over several lines": """
        out = np.zeros(
            3,
        )
        out[
            0
        ] = x[0]
    """,
    "in a dict": """
        state = {"h": np.zeros(3)}
        state["h"][0] = x[0]
        out = state["h"]
    """,
    "in an object": """
        state = types.SimpleNamespace(h=np.zeros(3))
        state.h[0] = x[0]
        out = state.h
    """,
    "of several names": """
        out, other = np.zeros(3), np.ones(3)
        out[0] = x[0]
    """,
}


def loaded(tmp_path, body, number):
    """Return the function with that body, from a file of its own."""
    lines = ["import types", "import numpy as np", "import staticgraph as sg", "def f(x):"]
    text = "\n".join([*lines, textwrap.indent(body, "    "), "    return out", ""])
    path = tmp_path / f"program_{number}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.f


@pytest.mark.filterwarnings("ignore:.*is fixed in the graph")
@pytest.mark.parametrize("case", PROGRAMS)
def test_the_printed_line_runs(case, tmp_path):
    body = textwrap.dedent(PROGRAMS[case]).strip("\n")
    x = np.float32([1, 2, 3])
    expected = loaded(tmp_path, body, 0)(x)
    with pytest.raises(SymbolicArrayError, match="was to be written into the ndarray") as caught:
        sg.function(loaded(tmp_path, body, 1))(x)
    line = re.search(r": (\S+ = sg\.asarray\(.*copy=True\))$", caught.value.fix).group(1)
    name = line.partition(" = ")[0]
    if "where it is made" in caught.value.fix:
        made = re.compile(rf"^{re.escape(name)} = .*?(?=^\w)", re.MULTILINE | re.DOTALL)
        fixed, count = made.subn(line + "\n", body, count=1)
        assert count == 1
        assert any("made" in label for label, _ in caught.value.related)
    else:  # before the line that fails, which stands in no loop here
        failing = caught.value.source.line - 5  # the lines above the body
        lines = body.split("\n")
        fixed = "\n".join([*lines[:failing], line, *lines[failing:]])
    found = sg.function(loaded(tmp_path, fixed, 2), backend="numpy")(x)
    np.testing.assert_allclose(found, expected)


def test_a_part_of_an_array_that_has_no_name():
    def f(x):
        rows = list(np.zeros((2, 3)))
        rows[0][:] = x
        return rows[0]

    with pytest.raises(SymbolicArrayError) as caught:
        sg.function(f)(np.float32([1, 2, 3]))
    assert "before its parts are taken" in caught.value.fix
