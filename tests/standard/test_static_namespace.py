"""The adapter gives what NumPy gives, so a failure of a suite that runs on it is the library's."""

import json

import numpy as np
import pytest
from tests.standard import static_namespace as xp
from tests.standard.run_suite import Counts, table


def test_functions_operators_and_what_is_below():
    x, y = xp.asarray([[1.0, 2.0], [3.0, 4.0]]), xp.asarray([2.0, 5.0])
    for found, expected in (
        (xp.add(x, y), x.held + y.held),
        (2 - x, 2 - x.held),
        (x @ y, x.held @ y.held),
        (x[:, 1], x.held[:, 1]),
        (x[xp.asarray(1) : 2], x.held[1:2]),
        (xp.linalg.inv(x), np.linalg.inv(x.held)),
        (xp.concat([x, x], axis=1), np.concatenate([x.held, x.held], axis=1)),
        (xp.repeat(x, xp.asarray([1, 2]), axis=0), np.repeat(x.held, [1, 2], axis=0)),
    ):
        assert isinstance(found, xp.Array)
        np.testing.assert_allclose(found.held, expected, rtol=1e-6)
    assert [each.held.tolist() for each in xp.unstack(x)] == x.held.tolist()


def test_an_array_that_is_written_to_holds_the_new_value():
    x = xp.asarray([1, 2, 3])
    x[1:] = 7
    x += 1
    assert x.held.tolist() == [2, 8, 8]


def test_an_operand_that_comes_back_is_the_array_itself():
    x = xp.asarray([1, 2, 3])
    assert xp.asarray(x, copy=False) is x
    assert xp.asarray(x, copy=True) is not x


def test_what_an_array_says_of_itself():
    x = xp.asarray([[1.0, 2.0]])
    assert (x.shape, x.dtype, x.ndim, x.size, x.device) == ((1, 2), xp.float32, 2, 2, "cpu")
    assert (bool(x[0, 0]), int(x[0, 1]), float(x[0, 1]), len(x)) == (True, 2, 2.0, 1)
    assert x.__array_namespace__() is xp
    assert np.from_dlpack(x).tolist() == [[1.0, 2.0]]
    with pytest.raises(AttributeError):
        x._repr_pretty_  # noqa: B018  what printers look for


def test_the_table_tells_apart_what_numpy_fails_too(tmp_path):
    def found(**outcomes):
        tests = [{"nodeid": name, "outcome": each} for name, each in outcomes.items()]
        report = tmp_path / "report.json"
        report.write_text(json.dumps({"tests": tests}))
        return Counts.of(report)

    rows = [
        ("NumPy", "2025.12", 20, found(a="passed", b="failed", c="skipped", d="passed")),
        ("dyngraph", "2025.12", 20, found(a="passed", b="failed", c="skipped", d="error")),
    ]
    lines = table(rows).splitlines()
    assert lines[2] == "| NumPy | 2025.12 | 20 | 2 | 1 | 1 | 1 |"
    assert lines[3] == "| dyngraph | 2025.12 | 20 | 1 | 1 | 2 | 1 |"
    assert lines[-1] == "dyngraph, 2025.12, alone: `d`"
