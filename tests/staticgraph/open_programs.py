"""Random programs with symbolic dimensions: those of the generator, declared once more with names
in the place of lengths, and run at several.

What a program makes of its seed stays as it was: which lengths are open is drawn apart.
"""

import os
import random
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from io import StringIO

import numpy as np
from tests.staticgraph.evaluation import bounds, compare
from tests.staticgraph.random_programs import gradients
from tests.staticgraph.shrinking import pruned

import staticgraph as sg
from oplibrary.messages.errors import SideBySideError
from oplibrary.values.tree import flatten
from staticgraph.backends.native.run.checked import VARIABLE
from staticgraph.backends.native.run.fallback import FAULT
from staticgraph.compiler.compile import compile_program
from staticgraph.compiler.declared import Declared
from staticgraph.compiler.feeds import Feed
from staticgraph.compiler.options import Options
from staticgraph.compiler.phases import Clock
from staticgraph.declare.lower import lower
from staticgraph.graph.graph import Graph
from staticgraph.program.lengths import program_at, program_is_symbolic, running_with
from staticgraph.show.printing import format_program

NAMES = tuple([f"fuzzed_{axis}" for axis in range(3)])
LENGTHS = (1, 2, 3, 5, 8, 17, 31, 64)
"""Of the first open axis, and up to 8 of the second: NumPy adds rows one after the other, and long
sums are further off than a few perturbations show."""
FEW = 3
"""So many lengths are run besides that of the program as it was made."""
APART = 4
"""Where a program is not one for all lengths, so many of its outputs are tried by themselves."""


class Open:
    """A program with symbolic dimensions.

    Attributes
    ----------
    program : Program
    shapes : list of tuple
        Of the inputs: numbers, and names of lengths.
    arrays : list of ndarray
        The inputs at the lengths with which it was made.
    lengths : list of dict
        By name, those to run it at.
    """

    def __init__(self, program, shapes, arrays, lengths):
        self.program = program
        self.shapes = shapes
        self.arrays = arrays
        self.lengths = lengths

    def arrays_at(self, lengths):
        """Return the inputs at some lengths, of the same numbers."""
        return [
            np.resize(array, [lengths.get(n, n) for n in shape])
            for array, shape in zip(self.arrays, self.shapes, strict=True)
        ]

    def of(self, *outputs):
        """Return what some values need, with the inputs that lengths are read off."""
        kept = pruned(replace(self.program, outputs=outputs), self.shapes, True).program
        used = [
            (value, shape, array)
            for value, shape, array in zip(
                self.program.inputs, self.shapes, self.arrays, strict=True
            )
            if value in kept.inputs or any(n in NAMES for n in shape)
        ]
        inputs, shapes, arrays = (list(each) for each in zip(*used, strict=True))
        return Open(replace(kept, inputs=tuple(inputs)), shapes, arrays, self.lengths)


def opened(generator, seed):
    """Return the program of a generator with some lengths open; None if nothing is left of it."""
    choice = random.Random(f"open {seed}")
    eager = generator.eager
    sizes = dict(zip(NAMES, generator.sizes, strict=True))
    names = choice.sample(NAMES, choice.choice((1, 1, 2)))
    shapes = [
        tuple(
            [
                name if name in names and n == sizes[name] != 0 else n
                for n, name in zip(array.shape, NAMES[3 - array.ndim :], strict=True)
            ]
            if number < generator.drawn_first
            else array.shape
        )
        for number, array in enumerate(eager.arrays)
    ]
    names = [name for name in names if any(name in shape for shape in shapes)]
    if not names:
        return None
    lengths = [{name: sizes[name] for name in names}]
    for _ in range(FEW):
        of_each = (LENGTHS, LENGTHS[:5])
        lengths.append({n: choice.choice(some) for n, some in zip(names, of_each, strict=False)})
    with np.errstate(all="ignore"), redirect_stdout(StringIO()), Graph(finalize=False) as graph:
        inputs = [
            sg.placeholder(f"x{i}", tuple([sg.dim(n) if n in NAMES else n for n in shape]), x.dtype)
            for i, (shape, x) in enumerate(zip(shapes, eager.arrays, strict=True))
        ]
        nodes = dict(zip(eager.inputs, inputs, strict=True))
        for node, function, operands in eager.steps:
            declare_again(nodes, node, function, operands)
        outputs = [nodes[node] for node in eager.outputs if node in nodes]
        outputs = outputs or [nodes[node] for node, _, _ in eager.steps[-5:] if node in nodes]
        found = []
        if eager.sources and outputs:
            try:
                wanted = [inputs[i] for i in eager.sources]
                found = gradients(sg, outputs, wanted, eager.order)
            except (SideBySideError, TypeError):  # what needs numbers has no gradient here
                found = []
        if not outputs:
            return None
        program = lower(graph, [*outputs, *found], inputs)
    if not program_is_symbolic(program):
        return None
    return Open(program, shapes, eager.arrays, lengths)


def declare_again(nodes, node, function, operands):
    """Declare a step of other nodes, unless it needs the numbers, or what needs them."""
    given = [each if isinstance(each, np.ndarray) else nodes.get(each) for each in operands]
    if any(each is None for each in given):
        return
    if node.op.effect:  # left to NumPy: the program would be one for each length
        nodes[node] = given[-1] if len(given) == 1 else given[0]
        return
    try:
        nodes[node] = function(sg, *given)
    except (SideBySideError, TypeError, ValueError):
        return


@contextmanager
def unchecked(choice):
    """Let every other program be called as usual: checked ones begin in Python."""
    before = os.environ.get(VARIABLE)
    if before is not None and choice.random() < 0.5:
        del os.environ[VARIABLE]
    try:
        yield
    finally:
        if before is not None:
            os.environ[VARIABLE] = before


def find_open_difference(made, samples):
    """Return what is wrong at some length, and whether the machine code is one for all."""
    program = made.program
    feeds = [Feed(f"x{i}", value.type) for i, value in enumerate(program.inputs)]
    structure = flatten([0 for _ in program.outputs])[1]
    with np.errstate(all="ignore"), redirect_stdout(StringIO()):
        try:
            declared = Declared(Graph(name="open"), program, feeds, structure)
            run = compile_program(declared, Options(backend="native"), Clock())
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:1000]}", False
        report = run.report()
        if FAULT in report:
            return report, False
        whole = "for all of them" in report
        for lengths in made.lengths:
            problem = wrong_at(run, made, lengths, samples)
            if problem:
                return f"at {lengths}: {problem}", whole
    return "", whole


def wrong_at(run, made, lengths, samples):
    """Return what is wrong at some lengths."""
    arrays = made.arrays_at(lengths)
    with running_with(lengths):
        numbered, _ = program_at(made.program, lengths)
        try:
            expected, refused = bounds(numbered, arrays, samples), None
        except (SideBySideError, ValueError, IndexError, FloatingPointError) as error:
            expected, refused = (), error
    try:
        runs = [run(*arrays) for _ in range(2)]
    except Exception as error:
        if refused is not None:
            return ""
        return f"{type(error).__name__}: {str(error)[:1000]}"
    if refused is not None:
        return f"not refused: {type(refused).__name__}: {refused}"
    for number, (wanted, one, other) in enumerate(zip(expected, *runs, strict=True)):
        problem = compare(wanted, one)
        if not problem and one.tobytes() != other.tobytes():
            problem = "another call gives other bits"
        if problem:
            return f"output {number}: {problem}"
    return ""


def check_open(generator, seed, samples):
    """Return the report of a failure, and how many programs were one for all lengths."""
    made = opened(generator, seed)
    if made is None:
        return "", 0
    with unchecked(random.Random(f"unchecked {seed}")):
        tried = [made]
        problem, whole = find_open_difference(made, samples)
        if not problem and not whole:
            outputs = list(dict.fromkeys(made.program.outputs))[:APART]
            tried = [made.of(output) for output in outputs]
        for each in tried:
            problem, one = find_open_difference(each, samples)
            whole += one
            # what few perturbations did not show, many may
            problem = problem and find_open_difference(each, 10 * samples)[0]
            if problem:
                return report(each, problem, 10 * samples), whole
    return "", int(whole)


def report(made, problem, samples):
    """Return what is wrong, and the first value of which it is."""
    for each in made.program.instructions:
        try:
            small = made.of(each.output)
            wrong, _ = find_open_difference(small, samples)
        except Exception:  # what a loop gives is no array
            continue
        if wrong:
            made, problem = small, wrong
            break
    shown = [f"{shape} {x!r}" for shape, x in zip(made.shapes, made.arrays, strict=True)]
    return "\n".join([problem, format_program(made.program), *shown])
