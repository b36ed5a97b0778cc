"""The error catalogue: what a message shows, and that both modes say the same of one mistake."""

import copy
import linecache
import os
import pickle
import re
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import (
    NotDifferentiableError,
    RetraceWarning,
    ShapeError,
    SideBySideError,
    catalogue,
    warn,
)
from oplibrary.messages.source import Source, defined_at, is_users_file, source_of, user_place
from oplibrary.values.types import TensorType

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    monkeypatch.delenv("SIDEBYSIDE_ERRORS", raising=False)


def message(call):
    with pytest.raises(SideBySideError) as caught:
        call()
    return str(caught.value)


def program(tmp_path, text, name="model.py"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def run_file(path, **environment):
    """Run a program of a user's, and return what it printed and its errors."""
    folders = os.pathsep.join([str(ROOT / "src" / "common"), str(ROOT / "src")])
    settings = {**os.environ, "PYTHONPATH": folders, "PYTHONIOENCODING": "utf-8"}
    settings.pop("SIDEBYSIDE_ERRORS", None)
    settings.update(environment)
    result = subprocess.run(
        [sys.executable, path], env=settings, capture_output=True, encoding="utf-8", check=False
    )
    return result.stdout, result.stderr


# the text -----------------------------------------------------------------------------------------


def test_a_message_has_the_id_the_line_a_caret_the_cause_and_the_fix():
    x, b = dg.ones((2, 3)), dg.ones((4,))

    def model():
        return dg.sum(x + b)

    lines = message(model).split("\n")
    assert lines[0] == "[SBS-101] add: shapes (2, 3) and (4,) do not broadcast together"
    assert re.fullmatch(r"  at test_errors.py:\d+: return dg.sum\(x \+ b\)", lines[1])
    assert lines[2].index("^") == lines[1].index("x + b")
    assert lines[2].strip() == "^^^^^"
    assert lines[3].startswith("  why: ") and lines[4].startswith("  fix: ")


def test_the_expression_is_told_from_others_on_its_line():
    x, y = dg.ones((2, 3)), dg.ones((4,))
    with pytest.raises(ShapeError) as caught:
        (x + x) * (x - y) * (y + y)
    assert caught.value.source.expression == "x - y"


def test_an_expression_over_several_lines():
    x, y = dg.ones((2, 3)), dg.ones((4,))

    def model():
        return dg.sum(
            x
            + y
        )  # fmt: skip

    text = message(model)
    assert ": x\n" in text
    carets = text.split("\n")[2]
    assert re.fullmatch(r" +\^ to line \d+", carets)


def test_wide_characters_and_tabs_keep_the_caret_in_place(tmp_path):
    path = program(
        tmp_path,
        """
        import dyngraph as dg
        权重 = dg.ones((2, 3))
        try:
            结果 = 权重\t+ dg.ones((4,))
        except dg.Tensor.__base__.__mro__[-1] if False else Exception as error:
            print(error)
        """,
    )
    lines = run_file(path)[0].split("\n")
    assert lines[1].endswith("结果 = 权重\t+ dg.ones((4,))")
    # two columns for each wide character before the expression, the tab as it is
    before, carets = re.fullmatch(r"( +)(\^+)", lines[2]).groups()
    assert len(before) == len("  at model.py:5: ") + len("结果") * 2 + len(" = ")
    assert len(carets) == len("权重") * 2 + len("\t+ dg.ones((4,))")


def test_source_that_cannot_be_read():
    code = "def model(x, y):\n    return x + y\n"
    names = {}
    exec(compile(code, "<notebook cell>", "exec"), names)
    text = message(lambda: names["model"](dg.ones((2, 3)), dg.ones((4,))))
    assert "\n  at <notebook cell>:2, in model\n  why: " in text
    exec(compile("import dyngraph as dg\n", "<string>", "exec"), names)
    text = message(lambda: exec("dg.ones((2, 3)) + dg.ones((4,))", names))
    assert "\n  at <string>:1\n  why: " in text


def test_source_that_a_notebook_keeps():
    cell = "def model(x, y):\n    return x + y\n"
    name = "<ipython-input-1-abc>"
    linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
    try:
        names = {}
        exec(compile(cell, name, "exec"), names)
        text = message(lambda: names["model"](dg.ones((2, 3)), dg.ones((4,))))
        assert "at <ipython-input-1-abc>:2: return x + y\n" in text
        assert "^^^^^" in text
    finally:
        del linecache.cache[name]


def test_a_file_that_was_changed_since_shows_no_wrong_caret(tmp_path):
    path = program(tmp_path, "def model(x, y):\n    return x + y\n")
    names = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    path.write_text("# shorter\n#\n")
    assert "^" not in message(lambda: names["model"](dg.ones((2, 3)), dg.ones((4,))))


def test_without_positions_the_line_is_shown_alone(tmp_path):
    path = program(
        tmp_path,
        """
        import dyngraph as dg
        try:
            dg.ones((2, 3)) + dg.ones((4,))
        except ValueError as error:
            print(error)
        """,
    )
    out, _ = run_file(path, PYTHONNODEBUGRANGES="1")
    assert "at model.py:4: dg.ones((2, 3)) + dg.ones((4,))\n  why: " in out
    assert "^" not in out
    assert "^" in run_file(path)[0]


def test_sources_are_made_by_hand_too():
    source = Source("folder/model.py", 12, "step")
    assert source.column is None and source.end_column is None and source.end_line is None
    assert source.place == "model.py:12"
    assert source.text == "" and source.expression == "" and source.span is None
    assert str(source) == "model.py:12, in step"
    assert source.shown("  at ") == ["  at model.py:12, in step"]
    assert source == Source("folder/model.py", 12, "step", 4, 9, 12)
    assert hash(source) == hash(Source("folder/model.py", 12, "step", 4, 9, 12))
    assert pickle.loads(pickle.dumps(source)) == source


def test_a_place_is_code_and_instruction_until_it_is_shown():
    place = user_place()
    code, instruction = place
    assert code.co_name == "test_a_place_is_code_and_instruction_until_it_is_shown"
    assert isinstance(instruction, int)
    source = source_of(place)
    assert source.text == "place = user_place()" and source.expression == "user_place()"
    assert source_of(None) is None


def test_where_functions_were_written():
    assert defined_at(message.__code__).text == "def message(call):"
    assert defined_at(test_full_shows_the_inside.__code__).text.startswith("def test_full_shows")
    double = lambda x: x * 2  # noqa: E731
    assert defined_at(double.__code__).expression == "x * 2"


def test_lines_of_python_and_numpy_are_not_the_users():
    y = dg.tensor([1.0], requires_grad=True) * 2
    with pytest.raises(NotDifferentiableError) as caught:
        copy.copy(y)
    assert caught.value.source.expression == "copy.copy(y)"
    assert not is_users_file(copy.__file__)
    assert not is_users_file(np.__file__)
    assert is_users_file(__file__)
    assert is_users_file(pytest.__file__)


def test_errors_survive_pickling():
    with pytest.raises(SideBySideError) as caught:
        dg.ones((2, 3)) + dg.ones((4,))
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is ShapeError
    assert str(again) == str(caught.value)


# the inside ---------------------------------------------------------------------------------------


def failing():
    return dg.ones((2, 3)) + dg.ones((4,))


def failing_static():
    with sg.Graph():
        return sg.ones((2, 3)) + sg.placeholder("x", (4,))


@pytest.mark.parametrize("call", [failing, failing_static])
def test_full_shows_the_inside(call, monkeypatch):
    brief = message(call)
    assert "inside:" not in brief
    assert not re.search(r"(oplibrary|dyngraph|staticgraph)/", brief)
    monkeypatch.setenv("SIDEBYSIDE_ERRORS", "full")
    full = message(call)
    assert full.startswith(brief)
    assert "\n  inside:\n" in full
    assert re.search(r"\n    oplibrary/core/rules.py:\d+, in infer: ", full)


def test_full_shows_the_exception_that_an_error_stands_for(monkeypatch):
    monkeypatch.setenv("SIDEBYSIDE_ERRORS", "full")
    text = message(failing)
    assert "    caused by ValueError: operands could not be broadcast together" in text
    assert re.search(r"\n      dyngraph/engine/apply.py:\d+, in apply: result = kernel\(", text)


SCRIPT = """
import dyngraph as dg

def model(x):
    return x + dg.ones((4,))

try:
    {}["no such key"]
except KeyError:
    model(dg.ones((2, 3)))
"""


def test_a_program_ends_with_the_users_frames_only(tmp_path):
    path = program(tmp_path, SCRIPT)
    _, brief = run_file(path)
    assert brief.count("Traceback") == 2  # what was handled is the user's own
    assert "KeyError: 'no such key'" in brief
    assert "in model" in brief and "in <module>" in brief
    assert str(ROOT / "src") not in brief and "ValueError" not in brief
    name = "oplibrary.errors.ShapeError"
    assert brief.rstrip().split("\n")[-5].startswith(f"{name}: [SBS-101] add")
    _, full = run_file(path, SIDEBYSIDE_ERRORS="full")
    assert str(ROOT / "src") in full
    assert "inside:" in full and "caused by ValueError" in full


def test_another_hook_is_left_alone(tmp_path):
    path = program(
        tmp_path,
        """
        import sys
        sys.excepthook = lambda *_: print("mine")
        import dyngraph as dg
        dg.ones((2, 3)) + dg.ones((4,))
        """,
    )
    assert run_file(path) == ("mine\n", "")


def test_other_exceptions_are_shown_as_ever(tmp_path):
    path = program(tmp_path, "import dyngraph\n1 / 0\n")
    assert run_file(path)[1].endswith("ZeroDivisionError: division by zero\n")


def test_notebooks_show_the_users_frames(monkeypatch):
    with pytest.raises(SideBySideError) as caught:
        failing()
    brief = "\n".join(caught.value._render_traceback_())
    assert "in failing" in brief and "[SBS-101]" in brief
    assert "apply.py" not in brief
    monkeypatch.setenv("SIDEBYSIDE_ERRORS", "full")
    assert "apply.py" in "\n".join(caught.value._render_traceback_())


# warnings -----------------------------------------------------------------------------------------


def test_a_warning_is_given_once_at_the_users_line():
    def give():
        warn(RetraceWarning("f was traced 6 times"))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            give()
    (one,) = caught
    assert one.category is RetraceWarning and one.filename == __file__
    assert str(one.message).startswith("[SBS-317] f was traced 6 times\n  at test_errors.py:")


def test_a_warning_turned_into_an_error_has_the_same_text():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RetraceWarning, match=r"\[SBS-317\]"):
            warn(RetraceWarning("f was traced 6 times"))


# the catalogue ------------------------------------------------------------------------------------


def test_ids_are_unique_and_sorted_by_family():
    ids = [each.id for each in catalogue()]
    assert ids == sorted(set(ids))


def test_errors_are_also_what_a_program_would_expect():
    for each in catalogue():
        assert each.__bases__[0].__name__ in (
            "SideBySideError",
            "SideBySideWarning",
            "ShapeError",
        )
        assert len(each.__mro__) > 4 or issubclass(each, UserWarning), each


def test_errors_are_made_in_threads_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(message(failing)))
    thread.start()
    thread.join()
    assert "at test_errors.py:" in found[0]


# the same mistake, the same id, in both modes -----------------------------------------------------


class Dynamic:
    xp = dg

    @staticmethod
    def value(*shape, dtype="float32"):
        return dg.ones(shape, dtype=dtype)

    @staticmethod
    def parameter(*shape):
        return dg.ones(shape, requires_grad=True)

    @staticmethod
    def gradients(y, xs, cotangent=None, **options):
        return dg.grad(y, xs, cotangent, **options)

    @staticmethod
    def transformed(transform, *shapes):
        return transform(*map(dg.ones, shapes))

    @staticmethod
    def run(function, *arrays):
        return function(*map(dg.tensor, arrays))


class Static:
    xp = sg
    names = iter(range(10**6))

    @classmethod
    def value(cls, *shape, dtype="float32"):
        return sg.placeholder(f"x{next(cls.names)}", shape, dtype)

    parameter = value

    @staticmethod
    def gradients(y, xs, cotangent=None, **options):
        return sg.gradients(y, xs, cotangent, **options)

    @staticmethod
    def transformed(transform, *shapes):
        return sg.trace(transform, *map(TensorType, shapes))

    @staticmethod
    def run(function, *arrays):
        return sg.function(function)(*arrays)


MISTAKES = {
    "broadcast": ("SBS-101", lambda m: m.value(2, 3) + m.value(4)),
    "matmul": ("SBS-101", lambda m: m.value(2, 3) @ m.value(2, 3)),
    "reshape": ("SBS-101", lambda m: m.value(2, 3).reshape(4)),
    "concat": ("SBS-101", lambda m: m.xp.concat([m.value(2, 3), m.value(3)])),
    "stack": ("SBS-101", lambda m: m.xp.stack([m.value(2), m.value(3)])),
    "axis": ("SBS-108", lambda m: m.value(2, 3).sum(axis=5)),
    "axis twice": ("SBS-101", lambda m: m.value(2, 3).sum(axis=(0, 0))),
    "no elements": ("SBS-101", lambda m: m.value(0).max()),
    "assignment": ("SBS-101", lambda m: m.xp.set_item(m.value(2, 3), 0, m.value(2))),
    "invert": ("SBS-102", lambda m: ~m.value(2)),
    "shift": ("SBS-102", lambda m: m.value(2) << 1),
    "text": ("SBS-102", lambda m: m.value(2) + "a"),
    "nothing": ("SBS-102", lambda m: m.value(2) * None),
    "object": ("SBS-102", lambda m: m.value(2).astype(object)),
    "unknown dtype": ("SBS-102", lambda m: m.value(2).astype("flot32")),
    "range of a dtype": ("SBS-102", lambda m: m.value(2, dtype="uint8") + 300),
    "dtype of new elements": ("SBS-102", lambda m: m.xp.zeros((), dtype="flot32")),
    "axis by name": ("SBS-103", lambda m: m.value(2, 3).sum(axis="rows")),
    "unknown argument": ("SBS-103", lambda m: m.value(2, 3).sum(rows=3)),
    "missing argument": ("SBS-103", lambda m: m.value(2, 3).broadcast_to()),
    "shape": ("SBS-103", lambda m: m.value(2, 3).reshape(2.5)),
    "negative length": ("SBS-103", lambda m: m.xp.zeros(-1)),
    "step": ("SBS-103", lambda m: m.value(3)[::0]),
    "index by text": ("SBS-103", lambda m: m.value(3)["a"]),
    "index by a float": ("SBS-103", lambda m: m.value(3)[1.5]),
    "policy": ("SBS-103", lambda m: m.gradients(m.parameter(), [m.parameter()], unused="q")),
    "argnums": ("SBS-103", lambda m: m.transformed(m.xp.grad(m.xp.sum, argnums=3), (2,))),
    "aux": ("SBS-103", lambda m: m.transformed(m.xp.grad(m.xp.sum, has_aux=True), (2,))),
    "memory": ("SBS-105", lambda m: m.xp.zeros((10**6, 10**6, 10**6))),
    "index": ("SBS-106", lambda m: m.value(3)[5]),
    "index array": ("SBS-106", lambda m: m.run(lambda x: x[[0, 5]], np.ones(3))),
    "index at run time": (
        "SBS-106",
        lambda m: m.run(lambda x, i: m.xp.take(x, i), np.ones(3), np.array([9])),
    ),
    "assertion": (
        "SBS-107",
        lambda m: m.run(lambda x: m.xp.assert_(m.xp.all(x > 2), "small"), np.ones(3)),
    ),
    "not a scalar": ("SBS-204", lambda m: (lambda x: m.gradients(x * 2, [x]))(m.parameter(3))),
    "value of a function": (
        "SBS-204",
        lambda m: m.transformed(m.xp.value_and_grad(lambda x: x * 2), (3,)),
    ),
    "integer result": (
        "SBS-205",
        lambda m: (lambda x: m.gradients(x.sum().astype("int64"), [x]))(m.parameter(3)),
    ),
    "complex result": (
        "SBS-205",
        lambda m: (lambda x: m.gradients((x * 1j).sum(), [x]))(m.parameter(3)),
    ),
    "complex value of a function": (
        "SBS-205",
        lambda m: m.transformed(m.xp.value_and_grad(lambda x: (x * 1j).sum()), (3,)),
    ),
    "complex jacobian": (
        "SBS-205",
        lambda m: m.transformed(lambda x: m.xp.jacobian(lambda x: x * 1j, x), (3,)),
    ),
    "real part written to": (
        "SBS-202",
        lambda m: setattr(m.parameter(3) * 1j, "real", 1.0),
    ),
    "cotangent": (
        "SBS-101",
        lambda m: (lambda x: m.gradients(x * 2, [x], np.ones(2)))(m.parameter(3)),
    ),
    "unused input": (
        "SBS-206",
        lambda m: m.gradients((m.parameter(3) * 2).sum(), [m.parameter(3)]),
    ),
    "number of cotangents": (
        "SBS-103",
        lambda m: (lambda x: m.gradients([x.sum()], [x], [1.0, 2.0]))(m.parameter(3)),
    ),
    "assigned element": ("SBS-202", lambda m: m.parameter(3).__setitem__(0, 1.0)),
    "numpy": ("SBS-303", lambda m: np.roots(m.value(3))),
    "numpy method": ("SBS-303", lambda m: np.arctan2.accumulate(m.value(3))),
    "loop without end": (
        "SBS-316",
        lambda m: m.run(
            lambda x: m.xp.while_loop(lambda c: c.sum() > 0, lambda c: c * 1.0, x, max_steps=9),
            np.ones(3, "float32"),
        ),
    ),
    "two modes": ("SBS-104", lambda m: m.value(3) + (sg if m.xp is dg else dg).ones((3,))),
}


@pytest.mark.parametrize("mode", [Dynamic, Static])
@pytest.mark.parametrize("name", MISTAKES)
def test_the_same_mistake_has_the_same_id(name, mode):
    expected, call = MISTAKES[name]
    with sg.Graph():
        if name == "two modes" and mode is Dynamic:
            node = Static.value(3)
            call = lambda m: m.value(3) + node  # noqa: E731
        with pytest.raises(SideBySideError) as caught:
            call(mode)
    assert caught.value.id == expected, str(caught.value)
    assert caught.value.source.filename == __file__
    assert "^" in str(caught.value)


CALLED = [
    pytest.param(op, each, id=f"{name}-{number}")
    for name, op in REGISTRY.items()
    if op.public
    for number, each in enumerate(op.examples)
]


def outcome(mode, op, operands, attrs):
    """Return the id of the error that a call ends with, or what it ends with otherwise."""
    given = [
        mode.value(*x.shape, dtype=x.dtype.name) if isinstance(x, np.ndarray) else x
        for x in operands
    ]
    with np.errstate(all="ignore"):
        try:
            op(*given, **attrs)
        except SideBySideError as error:
            return error.id
    return "none"


@pytest.mark.parametrize(("op", "each"), CALLED)
def test_a_wrong_operand_has_the_same_id_in_both_modes(op, each):
    """Each operand in turn becomes a text, None, and an array of a shape that hardly ever fits."""
    operands = [x if isinstance(x, np.ndarray) else np.ones(x, "float32") for x in each.operands]
    for position, right in enumerate(operands):
        for wrong in ("text", None, np.ones((7, 5, 3), right.dtype)):
            changed = [*operands[:position], wrong, *operands[position + 1 :]]
            if not any(isinstance(x, np.ndarray) for x in changed):
                continue
            with sg.Graph():
                found = [outcome(mode, op, changed, each.attrs) for mode in (Dynamic, Static)]
            assert found[0] == found[1], (position, wrong)
            assert wrong is not None or found[0] != "none"


@pytest.mark.parametrize("name", ["broadcast", "matmul", "axis", "unknown argument", "index"])
def test_the_same_mistake_has_the_same_words(name):
    _, call = MISTAKES[name]
    said = set()
    for mode in (Dynamic, Static):
        with sg.Graph(), pytest.raises(SideBySideError) as caught:
            call(mode)
        said.add((caught.value.what, caught.value.cause, caught.value.fix))
    assert len(said) == 1
