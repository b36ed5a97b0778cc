"""Entry: a Python function made of machine code, from the checks of its arguments to its results.

It takes exactly what the program declares: that many row-major arrays of those dtypes and shapes.
Anything else it hands to the Python function behind it, which converts it or says what is wrong.

Where lengths are not known before a run, the function looks for those of its arguments among the
combinations of lengths that were met, each of which has slots of its own: a block of words in a
list that begins at one of `HEADS` words. One that is not there is something else, too.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from oplibrary.machine import interpreter_api as api
from oplibrary.machine.code import Code
from oplibrary.machine.module import Module
from oplibrary.machine.objects import ObjectCode
from oplibrary.machine.register import Register
from oplibrary.values.types import TensorType

LONG_WORK = 50_000.0
"""A run of more nanoseconds releases the interpreter lock."""
MANY_ARRAYS = 64
"""A function that takes and gives more arrays is not optimised."""
FORMS = ("leaf", "list", "tuple")
"""How the outputs may be arranged."""
_OF_RUNS = ("slots", "busy", "status")
"""What a run is given: in the function's table, or in the block of its lengths."""
_FIXED = (
    "PyArray_Type",
    "PyArray_NewFromDescr",
    *api.FUNCTIONS,
    *api.OWN_MEMORY,
    *_OF_RUNS,
    "heads",
    "slow",
    "form",
)
BLOCK = ("next", *_OF_RUNS, "long")
"""The first words of a block: the next one, and whether a run releases the interpreter's lock. The
lengths of `Signature.open_axes` follow, and the shapes of results that have open lengths."""
HEADS = 64
"""How many lists of blocks there are, a power of two."""
INTERRUPTED = 2
"""The status of a run in which an exception was set; at others, `slow` says what is wrong."""
MIXED = 31
"""The list of lengths is known by the number that they are the digits of, to this base."""
_FASTCALL = 0x0080
_NAME = b"run"


class Signature(NamedTuple):
    """What the function takes and gives.

    Attributes
    ----------
    inputs, variables, outputs : tuple of TensorType
        Lengths of inputs and outputs that are no numbers are others in each run.
    updates : tuple of (int, TensorType)
        For each update the number of the variable; its value is a result behind the outputs.
    result_slot : int
        The slot of the first result; those of the inputs and variables are the first ones.
    work : float
        Estimated nanoseconds of a run.
    checks_status : bool
        Whether a run may find that it cannot go on.
    releases_lock : bool
        Whether a run releases the interpreter's lock by itself, since it looks for signals.
    """

    inputs: tuple[TensorType, ...]
    variables: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    updates: tuple[tuple[int, TensorType], ...]
    result_slot: int
    work: float
    checks_status: bool
    releases_lock: bool

    @property
    def results(self) -> tuple[TensorType, ...]:
        """The type of each result, outputs first."""
        return (*self.outputs, *(type_ for _, type_ in self.updates))

    @property
    def open_axes(self) -> list[tuple[int, int]]:
        """Number and axis of inputs, for each length that is not known before a run."""
        return [
            (number, axis)
            for number, type_ in enumerate(self.inputs)
            for axis, n in enumerate(type_.shape)
            if not isinstance(n, int)
        ]

    @property
    def dtypes(self) -> list[Any]:
        """Every dtype that is checked or made, once."""
        types = (*self.inputs, *self.variables, *self.results)
        return list(dict.fromkeys(type_.dtype for type_ in types))


def is_known(type_: TensorType) -> bool:
    """Tell whether all lengths of a type are known before a run."""
    return all(isinstance(n, int) for n in type_.shape)


def write_entry(module: Module, signature: Signature, segment: str) -> None:
    """Write ``ptr entry(ptr self, ptr arguments, i64 count)``, a METH_FASTCALL function."""
    code = Code(module)
    writer = _Entry(code, signature, segment)
    writer.write()
    # beside long work or many arrays, its speed is not worth the time to optimise it, which grows
    # faster than the length of a function
    plain = (signature.work > LONG_WORK and not writer.open_axes) or writer.many
    attributes = "noinline optnone" if plain else ""
    parameters = ["ptr %self", "ptr %arguments", "i64 %count"]
    module.add_function("entry", code, "ptr", parameters, attributes=attributes)


class _Entry(ObjectCode):
    def __init__(self, code: Code, signature: Signature, segment: str) -> None:
        words = [*_FIXED, *(f"dtype {d}" for d in signature.dtypes), "value"]
        super().__init__(
            code, [*words, *(f"variable {i}" for i in range(len(signature.variables)))]
        )
        self.signature = signature
        self.segment = segment
        made = len(signature.variables) + len(signature.results)
        self.many = len(signature.inputs) + made > MANY_ARRAYS
        self.open_axes = signature.open_axes
        self.lets_others_in = signature.work > LONG_WORK or signature.releases_lock
        self.block: Register | None = None
        self.slow = code.new_label()
        self.unwound = self.slow
        """Where to go on after letting go of all objects that are held so far."""
        # a register that is read in a far block takes the compiler time in each block between, so
        # of many arrays nothing stays in registers
        self.objects = code.allocate("ptr", made) if self.many else None
        self.held: list[Callable[[], Register]] = []

    def word(self, name: str) -> Register:
        """Return a word of the table, or of the block."""
        if self.block is not None and name in BLOCK:
            return self.code.load(self.code.address(self.block, BLOCK.index(name), "ptr"), "ptr")
        return super().word(name)

    def write(self) -> None:
        code, signature = self.code, self.signature
        self.arguments = code.parameter("%arguments", "ptr")
        self.count = code.parameter("%count", "i64")
        words = self.field(code.parameter("%self", "ptr"), api.FIRST_ITEM)
        self.table = code.address(words, api.BYTES, "i8")
        self._require(self.count.equals(len(signature.inputs)))
        array_type = self.word("PyArray_Type")
        if self.open_axes:
            self._find_block(array_type)
        if self.lets_others_in or self.open_axes:
            self._require(code.load(self.word("busy"), "i64").equals(0))
        if self.objects is not None:
            self._let_go_of_all(self.objects)
        self.slots = self.word("slots")
        data = []
        for number, type_ in enumerate(signature.inputs):
            given = self._argument(number)
            if self.open_axes:  # it was checked
                address = self.field(given, api.DATA)
            else:
                address = self._checked(given, type_, array_type, self.slow)
            data.append(self._kept(number, address))
        self._write_run(data, array_type)
        code.begin_block(self.slow)
        result = self.object_call(
            "PyObject_Vectorcall", self.word("slow"), self.arguments, self.count, "ptr null"
        )
        code.statement(f"ret ptr {result.ref}")

    def _argument(self, number: int) -> Register:
        return self.code.load(self.code.address(self.arguments, number, "ptr"), "ptr")

    def _find_block(self, array_type: Register) -> None:
        """Check the arguments, and find the block of their lengths."""
        code = self.code
        for number, type_ in enumerate(self.signature.inputs):
            self._checked(self._argument(number), type_, array_type, self.slow)
        lengths = code.allocate("i64", len(self.open_axes))
        mixed = code.constant(0, "i64")
        for place, (number, axis) in enumerate(self.open_axes):
            dimensions = self.field(self._argument(number), api.DIMENSIONS)
            length = code.load(code.address(dimensions, axis, "i64"), "i64")
            code.store(length, code.address(lengths, place, "i64"))
            mixed = mixed * MIXED + length
        found = code.allocate("ptr", 1)
        heads = self.word("heads")
        code.store(code.load(code.address(heads, mixed & (HEADS - 1), "ptr"), "ptr"), found)
        look, compare, on, over = [code.new_label() for _ in range(4)]
        code.jump(look)
        code.begin_block(look)
        block = code.load(found, "ptr")
        code.branch(block.is_null(), self.slow, compare)
        code.begin_block(compare)
        mark = code.mark()
        same = None
        for place in range(len(self.open_axes)):
            wanted = code.load(code.address(block, len(BLOCK) + place, "i64"), "i64")
            equal = wanted.equals(code.load(code.address(lengths, place, "i64"), "i64"))
            same = equal if same is None else same & equal
        assert same is not None
        code.branch(same, over, on)
        code.begin_block(on)
        code.store(code.load(block, "ptr"), found)
        code.jump(look)
        code.forget(mark)
        code.begin_block(over)
        self.block = block

    def _let_go_of_all(self, objects: Register) -> None:
        """Forget all objects, and write a block that lets go of those that are held by then."""
        code, count = self.code, len(self.signature.variables) + len(self.signature.results)
        if not count:
            return
        none = code.effect("inttoptr i64 0 to ptr", "ptr", 1)
        loop = code.begin_loop(0, count, 1, [])
        code.store(none, code.address(objects, loop.index, "ptr"))
        code.end_loop(loop, [])

        def let_go() -> None:
            loop = code.begin_loop(0, count, 1, [])
            held = code.load(code.address(objects, loop.index, "ptr"), "ptr")
            self.call("Py_DecRef", "void", held)  # which takes null for no object
            code.end_loop(loop, [])
            code.jump(self.slow)

        self.unwound = self._block(let_go)

    def _kept(self, slot: int, data: Register) -> Register | None:
        """Keep the data of an array for the run, of many arrays in its slot at once."""
        if not self.many:
            return data
        self.code.store(data, self.code.address(self.slots, slot, "ptr"))
        return None

    def _require(self, condition: Register, otherwise: str = "") -> None:
        on = self.code.new_label()
        self.code.branch(condition, on, otherwise or self.slow)
        self.code.begin_block(on)

    def _checked(
        self, given: Register, type_: TensorType, array_type: Register, otherwise: str
    ) -> Register:
        """Return the data of an object that must be a row-major array of a type."""
        self._require(self.field(given, api.TYPE).equals(array_type), otherwise)
        same = self.field(given, api.DTYPE).equals(self.word(f"dtype {type_.dtype}"))
        same = same & self.field(given, api.NDIM, "i32").equals(type_.ndim)
        flags = self.field(given, api.FLAGS, "i32") & api.IN_ORDER
        self._require(same & flags.equals(api.IN_ORDER), otherwise)
        if type_.ndim:
            dimensions = self.field(given, api.DIMENSIONS)
            fits = None
            for axis, n in enumerate(type_.shape):
                if isinstance(n, int):
                    length = self.code.load(self.code.address(dimensions, axis, "i64"), "i64")
                    fits = length.equals(n) if fits is None else fits & length.equals(n)
            if fits is not None:
                self._require(fits, otherwise)
        return self.field(given, api.DATA)

    def _write_run(self, data: list[Register | None], array_type: Register) -> None:
        """Write the variables' reading, the results' allocation, the run and the return."""
        code, signature = self.code, self.signature
        for number, type_ in enumerate(signature.variables):
            held = self.object_call(
                "PyObject_GetAttr", self.word(f"variable {number}"), self.word("value")
            )
            # deleted: the slow way says so
            self._require(~held.is_null(), self._cleared())
            self._hold(held)
            checked = self._checked(held, type_, array_type, self.unwound)
            data.append(self._kept(len(data), checked))
        variables = self.held
        self.held = []
        shapes = len(BLOCK) + len(self.open_axes)
        for number, type_ in enumerate(signature.results, signature.result_slot):
            made = self._new_array(type_, shapes)
            if not is_known(type_):
                shapes += type_.ndim
            # out of memory: the slow way fails, too, and says where
            self._require(~made.is_null(), self._cleared())
            self._hold(made, len(variables))
            if self.many:
                self._kept(number, self.field(made, api.DATA))
        results = self.held
        if not self.many:
            for number, address in enumerate(data):
                assert address is not None
                code.store(address, code.address(self.slots, number, "ptr"))
            for number, result in enumerate(results, signature.result_slot):
                code.store(self.field(result(), api.DATA), code.address(self.slots, number, "ptr"))
        self._run(self.slots)
        if signature.checks_status:
            status = code.load(self.word("status"), "i64")
            code.store(code.constant(0, "i64"), self.word("status"))
            if signature.releases_lock:
                interrupted = self._failure((*variables, *results))
                self._require(status.differs(INTERRUPTED), interrupted)
            self._require(status.equals(0), self.unwound)
        self._update(variables, results)
        for each in variables:
            self.call("Py_DecRef", "void", each())
        self._return(results[: len(signature.outputs)])

    def _block(self, write: Callable[[], None]) -> str:
        """Write a block behind a jump over it, which is never reached from above."""
        label, over = self.code.new_label(), self.code.new_label()
        self.code.jump(over)
        mark = self.code.mark()
        self.code.begin_block(label)
        write()
        self.code.forget(mark)
        self.code.begin_block(over)
        return label

    def _hold(self, held: Register, before: int = 0) -> None:
        """Hold one object more, behind `before` that are not in `held`; all are let go of later.

        Few have a block each, which goes on with those before it: lists of them for each point that
        may fail would take the square. Many are in memory, from which one loop takes them.
        """
        objects, then = self.objects, self.unwound
        if objects is not None:
            offset = 8 * (before + len(self.held))

            def place() -> Register:  # anew each time: it is not kept in a register, either
                text = f"getelementptr inbounds i8, ptr {objects.ref}, i64 {offset}"
                return self.code.effect(text, "ptr", 1)

            self.code.store(held, place())
            self.held.append(lambda: self.code.load(place(), "ptr"))
            return

        def let_go() -> None:
            self.call("Py_DecRef", "void", held)
            self.code.jump(then)

        self.unwound = self._block(let_go)
        self.held.append(lambda: held)

    def _cleared(self) -> str:
        """Write a block that drops the exception that is set, and goes on at `unwound`."""

        def clear() -> None:
            self.call("PyErr_Clear", "void")
            self.code.jump(self.unwound)

        return self._block(clear)

    def _failure(self, held: Sequence[Callable[[], Register]]) -> str:
        """Write a block that lets go of objects and returns with the exception that is set."""

        def fail() -> None:
            for each in held:
                self.call("Py_DecRef", "void", each())
            self.code.statement("ret ptr null")

        return self._block(fail)

    def _new_array(self, type_: TensorType, place: int) -> Register:
        """Write the making of an array; a shape that is not known is at a place of the block."""
        dimensions = "ptr null"
        if not is_known(type_):
            assert self.block is not None
            dimensions = f"ptr {self.code.address(self.block, place, 'i64').ref}"
        elif type_.ndim:
            name = "shape_" + "_".join(map(str, type_.shape))
            listed = ", ".join(f"i64 {n}" for n in type_.shape)
            self.code.module.add_global(name, f"internal constant [{type_.ndim} x i64] [{listed}]")
            dimensions = f"ptr @{name}"
        nbytes = type_.nbytes if is_known(type_) else None
        dtype = self.word(f"dtype {type_.dtype}")
        return self.new_array(dtype, type_.ndim, dimensions, nbytes)

    def _run(self, slots: Register) -> None:
        code, run = self.code, f"call void @{self.segment}(ptr {slots.ref})"
        if not (self.lets_others_in or self.open_axes):
            code.statement(run)
            return
        busy, kept = self.word("busy"), code.allocate("ptr", 1)
        code.store(code.constant(1, "i64"), busy)
        if self.signature.releases_lock:
            code.statement(run)
        else:
            self._if_long(lambda: code.store(self.object_call("PyEval_SaveThread"), kept))
            code.statement(run)
            thread = code.load(kept, "ptr")
            self._if_long(lambda: self.call("PyEval_RestoreThread", "void", thread))
        code.store(code.constant(0, "i64"), busy)

    def _if_long(self, write: Callable[[], object]) -> None:
        """Write what is done where the run is long, which may be known of its lengths alone."""
        if not self.open_axes:
            write()
            return
        long, on = self.code.new_label(), self.code.new_label()
        self.code.branch(self.word("long").is_null(), on, long)
        mark = self.code.mark()
        self.code.begin_block(long)
        write()
        self.code.jump(on)
        self.code.forget(mark)
        self.code.begin_block(on)

    def _update(
        self, variables: list[Callable[[], Register]], results: list[Callable[[], Register]]
    ) -> None:
        """Write the assignments; the variables then hold the only reference to the new arrays."""
        outputs = len(self.signature.outputs)
        failed = self._failure((*variables, *results)) if self.signature.updates else ""
        for (number, _), made in zip(self.signature.updates, results[outputs:], strict=True):
            done = self.call(
                "PyObject_SetAttr",
                "i32",
                self.word(f"variable {number}"),
                self.word("value"),
                made(),
            )
            assert done is not None
            self._require(done.equals(0), failed)
        for made in results[outputs:]:
            self.call("Py_DecRef", "void", made())

    def _return(self, outputs: Sequence[Callable[[], Register]]) -> None:
        code = self.code
        form = code.cast("ptrtoint", self.word("form"), "i64")
        labels = [code.new_label() for _ in FORMS]
        code.statement(
            f"switch i64 {form.ref}, label %{labels[0]} [i64 1, label %{labels[1]} "
            f"i64 2, label %{labels[2]}]"
        )
        mark = code.mark()
        for label, kind in zip(labels, ("", "PyList", "PyTuple"), strict=True):
            code.begin_block(label)
            if not kind:
                code.statement(f"ret ptr {outputs[0]().ref}" if outputs else "unreachable")
                continue
            made = self.object_call(f"{kind}_New", f"i64 {len(outputs)}")
            self._require(~made.is_null(), self._failure(outputs))
            for number, output in enumerate(outputs):
                self.call(f"{kind}_SetItem", "i32", made, f"i64 {number}", output())
            code.statement(f"ret ptr {made.ref}")
            code.forget(mark)


# the function object ------------------------------------------------------------------------------


def make_entry(
    signature: Signature,
    address: int,
    places: Mapping[str, Any],
    variables: Sequence[Any],
    slow: Callable[..., Any],
    form: str,
    owner: Any,
) -> Callable[..., Any] | None:
    """Return the function object, or None where the interpreter is not as expected.

    Parameters
    ----------
    signature : Signature
    address : int
        Of the machine code.
    places : mapping of str to ctypes object
        What the code reads and writes: ``"slots"`` and ``"status"``, or ``"heads"``, the first
        blocks of lists, where lengths are not known.
    variables : sequence of Variable
    slow : callable
        What is called with anything but the expected arrays.
    form : str
        One of `FORMS`.
    owner : object
        Whatever else must live as long as the function.
    """
    found = api.addresses()
    if found is None:
        return None
    places = {"busy": ctypes.c_int64(0), **places}
    given = {name: ctypes.addressof(place) for name, place in places.items()}
    given |= {"slow": id(slow), "form": FORMS.index(form)}
    value = "stored"
    dtypes = signature.dtypes
    words = [found.get(name, given.get(name, 0)) for name in _FIXED]
    words += [*map(id, dtypes), id(value), *map(id, variables)]
    table = struct.pack(f"{len(words)}Q", *words)
    owned = (owner, places, slow, value, tuple(dtypes), tuple(variables))
    return api.new_function(_NAME, address, _FASTCALL, table, owned)
