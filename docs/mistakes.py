"""What users of eager and graph frameworks trip over, and what answers it here.

``docs/errors.md`` shows this table. The key of a mistake is how the names of its tests in
``tests/test_mistakes.py`` begin: each is met there by running it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidebyside import errors


@dataclass(frozen=True)
class Mistake:
    """Something that users trip over.

    Attributes
    ----------
    what : str
    errors : tuple of Message classes
        What the library says to it.
    behaviour : str
        What the library does in place of an error, or beside it.
    """

    what: str
    errors: tuple[type[errors.Message], ...] = ()
    behaviour: str = ""


MISTAKES = {
    "data_dependent_if": Mistake(
        "data-dependent `if` while a graph is declared", (errors.SymbolicBoolError,)
    ),
    "hidden_bool": Mistake(
        "a hidden bool: `and`, `or`, `not`, `min()`, `x or default`", (errors.SymbolicBoolError,)
    ),
    "hidden_int": Mistake(
        "a hidden int or shape: `range(n)`, `zeros(n)`", (errors.SymbolicValueError,)
    ),
    "numpy_function": Mistake(
        "a NumPy function on a symbolic value",
        (errors.SymbolicArrayError,),
        "functions with a counterpart here just work",
    ),
    "baked_values": Mistake(
        "closures, globals and defaults baked into the graph",
        (errors.BakedValueWarning,),
        "numbers, strings, functions and arrays are guarded; `explain()` lists all",
    ),
    "side_effects_run_once": Mistake(
        "side effects that run once",
        (errors.AssertionFailedError,),
        "`explain()` says `traced 1x, executed 300x`; `print_` and `assert_` run in every call",
    ),
    "recompile_storm": Mistake("a storm of recompiling", (errors.RetraceWarning,)),
    "python_scalars": Mistake(
        "a Python number that specialises the graph",
        (errors.RetraceWarning,),
        "a number is an input from the first call on",
    ),
    "cold_start": Mistake(
        "a cold start",
        behaviour="each phase of a build is timed, and every comparison has its break-even",
    ),
    "unrolled_loops": Mistake(
        "an unrolled loop that explodes the build",
        (errors.NodeBudgetError,),
        "folded constants are bounded in bytes",
    ),
    "slower_than_eager": Mistake(
        "compiled code that is slower than eager",
        behaviour="the verdict says slower, and the bottleneck that explains it",
    ),
    "checks_of_a_call": Mistake(
        "the cost of each call's checks",
        behaviour="a call's time is measured with its checks; `executable.call` is the shortest "
        "way in",
    ),
    "data_dependent_shapes": Mistake(
        "shapes that depend on data", (errors.DataDependentShapeError,)
    ),
    "branches_of_different_type": Mistake(
        "branches or carries of different types", (errors.BranchTypeError,)
    ),
    "reverse_mode_through_while": Mistake(
        "reverse mode through a while loop",
        behaviour="supported: gradients flow through `while_loop`, `scan` and `cond`",
    ),
    "only_the_branch_taken": Mistake(
        "both branches evaluated", behaviour="a branch that is not taken does not run"
    ),
    "leaked_value": Mistake(
        "a symbolic value that leaks out of its graph", (errors.LeakedNodeError,)
    ),
    "inputs_that_are_not_fed": Mistake("an input that is not fed", (errors.FeedError,)),
    "growing_graph": Mistake("a graph that grows in the run loop", (errors.FinalGraphError,)),
    "unused_inputs": Mistake(
        "an unused or disconnected input", (errors.UnusedInputError, errors.UnusedInputWarning)
    ),
    "errors_in_optimised_code": Mistake(
        "an error in optimised code that lost the user's line",
        (errors.RunError,),
        "each instruction keeps the line that declared it, through every pass",
    ),
    "second_backward": Mistake("a second backward", (errors.FreedGraphError,)),
    "in_place_change": Mistake("an in-place change of a saved value", (errors.InPlaceError,)),
    "loss_without_a_graph": Mistake("a loss without a graph", (errors.NoGraphError,)),
    "grad_is_none": Mistake("`.grad` that is None", (errors.NonLeafGradWarning,)),
    "roots_that_have_no_gradient": Mistake(
        "a root that is no scalar, or an integer",
        (errors.NonScalarError, errors.NotDifferentiableError),
    ),
    "nan_gradients": Mistake("gradients that are NaN", (errors.AnomalyError,)),
    "compiled_numbers_differ": Mistake(
        "compiled numbers that differ",
        (errors.PassError, errors.DisagreementError),
        "no timing without equal results; `check_passes` names the pass that changed a value",
    ),
    "results_are_used_again": Mistake(
        "output buffers that are used again",
        behaviour="results are the caller's own; `borrow=True` lends them, and debug runs poison "
        "those",
    ),
    "wrong_benchmark": Mistake(
        "a wrong benchmark",
        behaviour="first call and steady state are apart; few samples give no verdict",
    ),
}
