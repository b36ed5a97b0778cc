"""What bounds the time of a program: calls, memory or arithmetic, told by measured roofs."""

from __future__ import annotations

from dataclasses import dataclass

from sidebyside.measuring.machine import Machine

EXPLAINS = 1 / 3
"""A roof that explains less of the time than that does not bound it."""

OVERHEAD, MEMORY, COMPUTE = "overhead-bound", "memory-bound", "compute-bound"


@dataclass(frozen=True, slots=True)
class Work:
    """What one call of a program does.

    Attributes
    ----------
    operations : int
        Operations that are declared, or instructions of the compiled program.
    bytes : int
        That they read and write; what a group of fused operations passes on among its own is not
        moved.
    gradients : bool
        Whether it has a backward pass.
    flops : int
        Floating-point operations.
    transcendentals : int
        Values of functions such as tanh, which are not among them.
    dtype : str
        That of most of the arithmetic, ``float32`` or ``float64``.
    """

    operations: int
    bytes: int
    gradients: bool = False
    flops: int = 0
    transcendentals: int = 0
    dtype: str = "float32"

    @property
    def arithmetic(self) -> int:
        """Floating-point operations and values of functions together."""
        return self.flops + self.transcendentals


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a mode takes beside computing, in seconds: measured on single numbers.

    Attributes
    ----------
    call : float
        For a call of a program, however small.
    operation : float
        For each operation more.
    """

    call: float
    operation: float


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What bounds a program in a mode.

    Attributes
    ----------
    name : {"overhead-bound", "memory-bound", "compute-bound"}
        What bounds it.
    reason : str
        The measured comparison behind it.
    calls, memory, arithmetic : float
        Seconds that a call would take if it did nothing but be called, move its bytes, or compute:
        at the best rates that were measured on this machine.
    """

    name: str
    reason: str
    calls: float = 0.0
    memory: float = 0.0
    arithmetic: float = 0.0


def find_bottleneck(work: Work, seconds: float, overhead: Overhead, machine: Machine) -> Bottleneck:
    """Return what bounds a program that takes `seconds` a call.

    The name is that of the roof which explains most of the time. Where none explains `EXPLAINS` of
    it, the program computes: with code that is far from what the machine can do.

    Parameters
    ----------
    work : Work
    seconds : float
    overhead : Overhead
        Of the mode that takes so long.
    machine : Machine

    Examples
    --------
    >>> machine = Machine({1 << 20: 1e9}, {"float32": 1e9}, 1e8)
    >>> found = find_bottleneck(Work(10, 1000), 1e-5, Overhead(1e-6, 8e-7), machine)
    >>> found.name, found.reason
    ('overhead-bound', '10 operations on single numbers take 90% of its time')
    """
    calls = overhead.call + overhead.operation * work.operations
    rate = machine.bandwidth(work.bytes / max(1, work.operations))
    memory = work.bytes / rate
    arithmetic = work.flops / machine.products[work.dtype]
    arithmetic += work.transcendentals / machine.functions
    roofs = {OVERHEAD: calls, MEMORY: memory, COMPUTE: arithmetic}
    name = max(roofs, key=lambda each: roofs[each])
    parts = {each: f"{min(1.0, roofs[each] / seconds):.0%}" for each in roofs}
    reasons = {
        OVERHEAD: f"{_operations(work)} on single numbers take {parts[OVERHEAD]} of its time",
        MEMORY: f"at the best rate of this machine, moving its bytes takes {parts[MEMORY]} of its "
        "time",
        COMPUTE: f"at the best rate of this machine, its arithmetic takes {parts[COMPUTE]} of its "
        "time",
    }
    reason = reasons[name]
    if roofs[name] < EXPLAINS * seconds:
        name = COMPUTE
        reason = (
            f"neither its calls ({parts[OVERHEAD]} of its time) nor its bytes ({parts[MEMORY]}) "
            f"nor its arithmetic at the best rate ({parts[COMPUTE]}) explain it"
        )
    return Bottleneck(name, reason, calls, memory, arithmetic)


def _operations(work: Work) -> str:
    if work.operations == 0:
        return "a call"
    return f"{work.operations:,} operation{'' if work.operations == 1 else 's'}"
