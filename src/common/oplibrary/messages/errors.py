"""The error catalogue: one class an error, with a stable id, the user's line, a cause and a fix.

``docs/errors.md`` is generated from these classes. A message reads::

    [SBS-101] add: shapes (2, 3) and (4,) do not broadcast together
      at model.py:12: y = x + b
                          ^^^^^
      why: aligned from the right, axis -1 has lengths 3 and 4; ...
      fix: reshape, transpose or expand_dims one operand so that the axes line up

With ``SIDEBYSIDE_ERRORS=full`` in the environment it goes on with the inside: the library's own
frames, and the exception that the error stands for.
"""

from __future__ import annotations

import pickle

from numpy import linalg as _linalg

from oplibrary.messages.message import Message as Message
from oplibrary.messages.message import SideBySideError as SideBySideError
from oplibrary.messages.message import SideBySideWarning as SideBySideWarning
from oplibrary.messages.message import warn as warn

# 1xx: values ------------------------------------------------------------------------------------


class ShapeError(SideBySideError, ValueError):
    """Shapes that do not fit an operation."""

    id = "SBS-101"
    title = "shapes do not fit"
    explanation = "the operation is not defined for these shapes"
    remedy = "reshape the operands so that their axes line up"


class DTypeError(SideBySideError, TypeError):
    """A dtype that an operation is not defined for."""

    id = "SBS-102"
    title = "dtype not supported"
    explanation = "the operation is not defined for these dtypes"
    remedy = "convert with astype or cast first"


class ArgumentError(SideBySideError, ValueError, TypeError):
    """An argument that has no meaning here."""

    id = "SBS-103"
    title = "bad argument"
    explanation = "the argument is outside what the function accepts"
    remedy = "see the function's documentation"


class MixedModesError(SideBySideError, TypeError):
    """A dynamic Tensor and a static Node in one operation."""

    id = "SBS-104"
    title = "dynamic and static values mixed"
    explanation = "a Tensor holds numbers now, a Node stands for numbers that a later run makes"
    remedy = "feed the tensor through a placeholder, or take tensor.numpy() as a constant"


class OutOfMemoryError(SideBySideError, MemoryError):
    """An array that does not fit in memory."""

    id = "SBS-105"
    title = "size does not fit in memory"
    explanation = "the array asked for is larger than the memory that can be had"
    remedy = "use a smaller size, a narrower dtype, or process it in parts"


def out_of_memory(error: MemoryError, what: str) -> MemoryError:
    """Return the named error of memory that ran out in `what`; `error` itself if it is named."""
    if isinstance(error, SideBySideError):
        return error
    return OutOfMemoryError(f"{what}: {error}" if str(error) else what)


class IndexingError(SideBySideError, IndexError):
    """An index outside an axis."""

    id = "SBS-106"
    title = "index out of bounds"
    explanation = "an index must lie inside the axis it selects from"
    remedy = "check the indices against the axis length"


class AssertionFailedError(SideBySideError, AssertionError):
    """A condition of assert_ that does not hold."""

    id = "SBS-107"
    title = "an assertion does not hold"
    explanation = "the condition is False"
    remedy = "look where the values shown come from; the condition was declared for this line"


class AxisError(ShapeError, IndexError):
    """An axis that an array does not have."""

    id = "SBS-108"
    title = "no such axis"
    explanation = "an array of n axes has axes -n to n - 1"
    remedy = "choose one of those axes, or add one with expand_dims"


class MatrixShapeError(ShapeError, _linalg.LinAlgError):
    """No matrix, or one that is not square; a ``numpy.linalg.LinAlgError``, too."""

    id = "SBS-109"
    title = "not a matrix, or not a square one"
    explanation = "linear algebra takes the last two axes as matrices"
    remedy = "reshape the operand so that its last two axes are the rows and columns"


class LinAlgError(SideBySideError, _linalg.LinAlgError):
    """A matrix without the inverse or decomposition asked for; a ``numpy.linalg.LinAlgError``."""

    id = "SBS-110"
    title = "the matrix has no such inverse or decomposition"
    explanation = "the numbers of the matrix do not allow it"
    remedy = "use lstsq or pinv, which take any matrix, or add a small multiple of eye"


# 2xx: dynamic graph -------------------------------------------------------------------------------


class FreedGraphError(SideBySideError, RuntimeError):
    """A second backward through a graph that the first one freed."""

    id = "SBS-201"
    title = "the graph was freed by an earlier backward"
    explanation = "backward() frees the saved values of every operation it passes"
    remedy = (
        "sum the losses and call backward() once, or detach() the state carried between steps; "
        "backward(retain_graph=True) keeps the graph"
    )


class InPlaceError(SideBySideError, RuntimeError):
    """An in-place change of a value that a gradient still needs, or of a leaf."""

    id = "SBS-202"
    title = "in-place change of a value that a gradient needs"
    explanation = "the gradient rule saved this value and would now compute with other numbers"
    remedy = "use the out-of-place form (x = x + 1), or clone() before the change"


class NoGraphError(SideBySideError, RuntimeError):
    """backward() from a value that no differentiable operation made."""

    id = "SBS-203"
    title = "the value has no graph"
    explanation = "nothing that led to this value requires a gradient"
    remedy = (
        "create the parameters with requires_grad=True and keep the computation outside no_grad"
    )


class NonScalarError(SideBySideError, RuntimeError):
    """backward() from a value that is not a scalar, without a cotangent."""

    id = "SBS-204"
    title = "gradient of a value that is not a scalar"
    explanation = "a gradient without a cotangent is defined for one number only"
    remedy = "reduce it first, y.sum().backward(), or pass y.backward(gradient=v)"


class NotDifferentiableError(SideBySideError, TypeError):
    """A gradient asked of a dtype or operation that has none."""

    id = "SBS-205"
    title = "not differentiable"
    explanation = "only floating-point and complex values have gradients"
    remedy = "cast to float32 or float64 before the computation"


class UnusedInputError(SideBySideError, ValueError):
    """A gradient asked of an input that the output does not depend on."""

    id = "SBS-206"
    title = "the output does not depend on this input"
    explanation = "no differentiable path leads from the input to the output"
    remedy = 'choose unused="zero" for zeros, "none" for None, or leave the input out'


class AnomalyError(SideBySideError, RuntimeError):
    """A NaN that appeared in a gradient while anomaly detection was on."""

    id = "SBS-207"
    title = "a gradient became NaN"
    explanation = "the gradient rule returned NaN"
    remedy = "keep the operand inside the function's domain, for example clip before log"


class GradcheckError(SideBySideError, AssertionError):
    """A gradient rule that disagrees with numerical differences."""

    id = "SBS-208"
    title = "gradient disagrees with numerical differences"
    explanation = "the analytic and the numerical gradient differ by more than the tolerance"
    remedy = "check the backward rule, and that inputs are float64 and away from kinks"


class NonLeafGradWarning(SideBySideWarning):
    """``.grad`` was read from a tensor that is not a leaf, and is None."""

    id = "SBS-209"
    title = "the gradient of a tensor that is not a leaf"
    explanation = "backward() keeps gradients of leaves only, and this tensor was computed"
    remedy = "call retain_grad() before backward(), or read .grad of the leaf"


class UnusedInputWarning(SideBySideWarning):
    """A gradient asked with ``unused="warn"`` of an input that the output does not depend on."""

    id = "SBS-210"
    title = "zeros for an input that the output does not depend on"
    explanation = "no differentiable path leads from the input to the output"
    remedy = 'choose unused="zero" where that is meant, or leave the input out'


class LostGradientWarning(SideBySideWarning):
    """The numbers of a tensor that requires a gradient went where no gradient comes back from."""

    id = "SBS-211"
    title = "a gradient ends here"
    explanation = "plain numbers keep no graph, so no gradient will come through them"
    remedy = "keep the computation in tensors, or write x.item() where the number alone is meant"


# 3xx: static graph --------------------------------------------------------------------------------


class SymbolicBoolError(SideBySideError, TypeError):
    """A truth value asked of a Node."""

    id = "SBS-301"
    title = "a static value has no truth value"
    explanation = "the graph is being declared: the value is not known until it runs"
    remedy = "use where(condition, a, b), cond, while_loop, a static argument, or dyngraph"


class SymbolicValueError(SideBySideError, TypeError):
    """A number asked of a Node: int(), float(), range(), an index."""

    id = "SBS-302"
    title = "a static value is not a number yet"
    explanation = "the graph is being declared: the value is not known until it runs"
    remedy = "pass the number as a static Python argument, or run the program in dyngraph"


class SymbolicArrayError(SideBySideError, TypeError):
    """An ndarray asked of a Node, usually by a NumPy function."""

    id = "SBS-303"
    title = "a NumPy function met a static value"
    explanation = "NumPy needs the numbers, and the graph is only being declared"
    remedy = "use the function of the same name in staticgraph"


class DataDependentShapeError(SideBySideError, TypeError):
    """A shape that depends on values, in a graph whose shapes are fixed."""

    id = "SBS-304"
    title = "the shape depends on the data"
    explanation = "a static graph fixes every shape before it runs"
    remedy = "use where(mask, x, 0) or padding to keep the shape, or dyngraph"


class LeakedNodeError(SideBySideError, RuntimeError):
    """A Node used outside the graph it was declared in."""

    id = "SBS-305"
    title = "a static value was used outside its graph"
    explanation = "a Node belongs to one graph and has no meaning in another"
    remedy = "return the value from the traced function, or declare it in the graph that uses it"


class FeedError(SideBySideError, ValueError):
    """An input that was not fed, is not known, or has the wrong type."""

    id = "SBS-306"
    title = "wrong feeds"
    explanation = "every placeholder that a fetch needs must be fed, and nothing else"
    remedy = "feed each missing name, and leave unknown ones out"


class FinalGraphError(SideBySideError, RuntimeError):
    """A node added to a graph that was already compiled."""

    id = "SBS-307"
    title = "the graph is final"
    explanation = "an op declared after compiling makes the graph grow with every call"
    remedy = "declare every op before the loop that runs the graph"


class CycleError(SideBySideError, ValueError):
    """A declared graph that is not acyclic."""

    id = "SBS-308"
    title = "the graph has a cycle"
    explanation = "a value cannot depend on itself"
    remedy = "remove one of the edges listed, or carry the value with a variable and assign"


class GraphError(SideBySideError, ValueError):
    """A declared graph that is not well formed."""

    id = "SBS-309"
    title = "malformed graph"
    explanation = "every node needs a known op and all of its operands"
    remedy = "correct the nodes listed"


class NodeBudgetError(SideBySideError, RuntimeError):
    """A Python loop unrolled into more nodes than the budget allows."""

    id = "SBS-310"
    title = "a loop was unrolled into too many nodes"
    explanation = "tracing runs a Python loop, so each round adds its nodes to the graph"
    remedy = "use scan or while_loop, or raise the budget with trace(..., max_nodes=...)"


class PassError(SideBySideError, RuntimeError):
    """A compiler pass that produced an invalid program."""

    id = "SBS-311"
    title = "a compiler pass broke the program"
    explanation = "this is a defect of the compiler, not of your program"
    remedy = "switch the pass off with passes=without(name), and report it"


class BackendError(SideBySideError, RuntimeError):
    """A backend that does not exist or cannot run here."""

    id = "SBS-312"
    title = "backend not available"
    explanation = "the backend is unknown or its package is not installed"
    remedy = 'use backend="numpy", or install sidebyside[native]'


class RunError(SideBySideError, RuntimeError):
    """A kernel that failed while it ran, of values that it takes otherwise."""

    id = "SBS-313"
    title = "an instruction failed"
    explanation = "NumPy was told to raise on what these values lead to, or the kernel is at fault"
    remedy = "see the declared line above"


class BakedValueWarning(SideBySideWarning):
    """A value was fixed in a traced graph, and nothing can tell when it changes."""

    id = "SBS-314"
    title = "a value is baked into the graph"
    explanation = "tracing reads a value from outside once, and later calls do not read it again"
    remedy = "pass the value as an argument"


class BranchTypeError(SideBySideError, TypeError):
    """Branches, or a loop's carry before and after a step, whose types differ."""

    id = "SBS-315"
    title = "branches or carries of different types"
    explanation = "whichever side runs, what follows was compiled for one type"
    remedy = "give both sides the same structure, shapes and dtypes"


class LoopBoundError(SideBySideError, RuntimeError):
    """A declared loop that ran longer than its bound."""

    id = "SBS-316"
    title = "a loop ran longer than its bound"
    explanation = "the condition still held after max_steps"
    remedy = "check that the body moves towards the end, or raise max_steps"


class RetraceWarning(SideBySideWarning):
    """A static function is traced again and again, so its build time is never won back."""

    id = "SBS-317"
    title = "a function is traced again and again"
    explanation = "each new signature, and each changed value from outside, is traced and compiled"
    remedy = "pad to a few fixed shapes, and pass what changes as an argument"


class ProgramFileError(SideBySideError, ValueError):
    """A program that no file can hold, or a file that holds no program."""

    id = "SBS-318"
    title = "the program cannot be saved or opened"
    explanation = "a file holds ops of the library, numbers and texts, and never Python code"
    remedy = "save the program with sg.save_program, and keep the file as it is"


class PicklingError(SideBySideError, pickle.PicklingError, TypeError):
    """An object that cannot be pickled, copied or sent to another process."""

    id = "SBS-319"
    title = "the object cannot be pickled or copied"
    explanation = "only what another process can make again can leave this one"
    remedy = "pickle what it was made of, and make it again at the other end"


class BindingError(SideBySideError, ValueError):
    """Arrays that a program cannot be bound to, or a bound program whose ground has changed."""

    id = "SBS-320"
    title = "arrays cannot be bound"
    explanation = "a bound program reads and writes the memory of its arrays and checks nothing"
    remedy = "bind row-major arrays of the declared types, whose memory nothing else replaces"


# 4xx: measurement ---------------------------------------------------------------------------------


class WorkloadError(SideBySideError, ValueError):
    """A workload that does not exist, cannot be read, or is not a workload."""

    id = "SBS-401"
    title = "workload cannot be used"
    explanation = "a workload is a builtin name or a Python file that defines a Workload"
    remedy = "run `sidebyside list` for the builtin names"


class OutputError(SideBySideError, OSError):
    """A file that cannot be written."""

    id = "SBS-402"
    title = "the file cannot be written"
    explanation = "the folder does not exist or does not allow writing"
    remedy = "choose a folder that exists and that you may write to"


class DisagreementError(SideBySideError, AssertionError):
    """Two modes whose results differ by more than the bound."""

    id = "SBS-403"
    title = "the modes disagree"
    explanation = "a timing of two programs that compute different things says nothing"
    remedy = "see which output differs; no timing is shown for this pair"


class MissingPackageError(SideBySideError, ImportError):
    """An optional package that is not installed."""

    id = "SBS-404"
    title = "optional package missing"
    explanation = "the feature needs a package that is not installed"
    remedy = "install the extra named above"


class ResultFileError(SideBySideError, ValueError):
    """A file that holds no result that this library can read."""

    id = "SBS-405"
    title = "the file holds no result that can be read"
    explanation = "it is missing, damaged, of something else, or from another version of the format"
    remedy = "name a file that save or --save has written, or measure again"


class NotComparableError(SideBySideError, ValueError):
    """Two saved results that were not measured alike, or have nothing in common."""

    id = "SBS-406"
    title = "the results cannot be compared"
    explanation = (
        "times from another machine, of other versions or settings differ whatever the program does"
    )
    remedy = "measure both alike, or say that the difference is meant with across"


# 5xx: what other distributions add ----------------------------------------------------------------


class BrokenEntryPointWarning(SideBySideWarning):
    """An installed distribution enters something that cannot be used, which is skipped."""

    id = "SBS-501"
    title = "an entry point of an installed distribution is skipped"
    explanation = "it cannot be loaded, is of another kind, or its name is taken"
    remedy = "correct the distribution that is named, or uninstall it"


# 6xx: programs of other libraries -----------------------------------------------------------------


class UnsupportedOpError(SideBySideError, NotImplementedError):
    """An operation, or an argument of one, that programs of another library cannot have here."""

    id = "SBS-601"
    title = "an operation of the imported program is not supported"
    explanation = "a program is imported whole or not at all"
    remedy = "write that line with other operations"


class ForeignProgramError(SideBySideError, ValueError):
    """A program of another library that cannot be read."""

    id = "SBS-602"
    title = "the program cannot be imported"
    explanation = "its own library does not give a whole program for it"
    remedy = "correct the line that the library names"


class ImportCheckError(SideBySideError, AssertionError):
    """An imported program whose results are not those of its source."""

    id = "SBS-603"
    title = "the imported program disagrees with its source"
    explanation = "outputs and gradients are compared before the program is handed over"
    remedy = "compare the two line by line; what differs first is the operation to look at"


def catalogue() -> list[type[Message]]:
    """Return the class of every error and warning, ordered by id."""
    found: list[type[Message]] = []
    pending: list[type[Message]] = [
        *SideBySideError.__subclasses__(),
        *SideBySideWarning.__subclasses__(),
    ]
    while pending:
        error = pending.pop()
        found.append(error)
        pending += error.__subclasses__()
    return sorted(found, key=lambda error: error.id)


__all__ = sorted(
    ["SideBySideError", "SideBySideWarning", "catalogue"] + [each.__name__ for each in catalogue()]
)

for _each in (SideBySideError, SideBySideWarning, *catalogue()):
    _each.__module__ = "oplibrary.errors"  # what Python prints in front of a message is importable
