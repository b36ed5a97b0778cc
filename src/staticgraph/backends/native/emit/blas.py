"""BLAS: where its functions are, and the functions of machine code that call them."""

from __future__ import annotations

import ctypes
import glob
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from oplibrary.machine.code import Code
from oplibrary.machine.elements import FLOAT32, element_of
from oplibrary.machine.memory_access import Index
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.messages.errors import BackendError
from staticgraph.backends.native.definitions.products import Matrix, Product, Split, Tiling
from staticgraph.backends.native.emit.address_table import BLAS_FUNCTIONS, Base
from staticgraph.backends.native.emit.tiles import write_tiles
from staticgraph.backends.native.planning.steps import storage_of

MOST_WHOLE = (1 << 31) - 1
"""The longest axis of a matrix: BLAS is given lengths in four bytes."""


@lru_cache(maxsize=1)
def blas_addresses() -> tuple[int, ...]:
    """Return the addresses of `BLAS_FUNCTIONS`, from SciPy's table for compiled code.

    Raises
    ------
    BackendError
        If SciPy is missing, or its functions are not what they were.
    """
    try:
        table = load_cython_blas().__pyx_capi__
    except ImportError:
        raise BackendError(
            "the native backend needs SciPy for matrix products, and it is not installed",
            cause="SciPy brings the BLAS functions that compiled code calls",
            fix='run `pip install scipy` (the extra sidebyside[native]), or use backend="numpy"',
        ) from None
    return tuple([_address(table[name], name) for name in BLAS_FUNCTIONS])


def load_cython_blas() -> Any:
    """Return the module whose functions compiled code may call, without all of SciPy around it."""
    name = "scipy.linalg.cython_blas"
    if name in sys.modules:
        return sys.modules[name]
    if "scipy.linalg" not in sys.modules:
        # the module alone loads in 2 ms, the package around it in 400
        spec = importlib.util.find_spec("scipy")
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for path in glob.glob(os.path.join(folder, "linalg", "cython_blas.*")):
                found = importlib.util.spec_from_file_location(name, path)
                if found is None or found.loader is None or path.endswith((".pxd", ".pyx")):
                    continue
                module = importlib.util.module_from_spec(found)
                found.loader.exec_module(module)
                sys.modules[name] = module
                return module
    return importlib.import_module(name)


def _address(capsule: Any, name: str) -> int:
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    signature = api.PyCapsule_GetName(capsule)
    if not signature.startswith(b"void (char *, char *, int *, int *, int *"):
        raise BackendError(
            f"SciPy's {name} has another signature: {signature.decode()}",
            cause="its integers have another width than expected",
            fix='use another version of SciPy, or backend="numpy"',
        )
    address: int = api.PyCapsule_GetPointer(capsule, signature)
    return address


def product_bases(product: Product) -> list[Base]:
    """Return the addresses that the function of a product is given."""
    operands = (*product.operation, product)
    matrices = (product.left, product.right, product.result)
    function = BLAS_FUNCTIONS.index("sgemm" if product.dtype == FLOAT32 else "dgemm")
    places: list[Base] = [
        ("value", storage_of(each), matrix.start) for each, matrix in zip(operands, matrices)
    ]
    return [("blas", None, function), *places]


def write_product(
    module: Module, symbol: str, product: Product, split: Split, tiling: Tiling | None
) -> None:
    """Write ``void symbol(ptr bases, i64 first, i64 last)``, some chunks of a product.

    Parameters
    ----------
    module : Module
    symbol : str
    product : Product
    split : Split
        Into which chunks.
    tiling : Tiling or None
        The tiles to compute it by; None leaves it to BLAS.
    """
    _ProductWriter(module, product, split, tiling).write(symbol)


class _ProductWriter:
    def __init__(
        self, module: Module, product: Product, split: Split, tiling: Tiling | None
    ) -> None:
        self.code = Code(module)
        self.product = product
        self.split = split
        self.tiling = tiling
        self.element = element_of(product.dtype)

    def write(self, symbol: str) -> None:
        code = self.code
        first, last = (code.parameter(name, "i64") for name in ("%first", "%last"))
        if self.split.axis == "rounds":
            chunk, rounds = self.split.chunk, self.product.rounds
            self._rounds(first * chunk, code.smaller(last * chunk, rounds), None)
        else:
            loop = code.begin_loop(first, last, 1, [])
            self._rounds(code.constant(0, "i64"), self.product.rounds, loop.index)
            code.end_loop(loop, [])
        code.statement("ret void")
        code.module.add_function(
            symbol, code, "void", ["ptr %bases", "i64 %first", "i64 %last"], "internal"
        )

    def _rounds(self, start: Register, stop: Register | int, block: Register | None) -> None:
        if self.product.rounds == 1:
            self._round(None, block)
            return
        loop = self.code.begin_loop(start, stop, 1, [])
        self._round(loop.index, block)
        self.code.end_loop(loop, [])

    def _round(self, number: Register | None, block: Register | None) -> None:
        """Write a block of a round."""
        code, product = self.code, self.product
        given = code.parameter("%bases", "ptr")
        function, *bases = (code.load(code.address(given, i, "ptr"), "ptr") for i in range(4))
        offsets: list[Register | int] = [0, 0, 0]
        sums = 1
        rest = number
        for n, *steps in reversed(product.loops):
            assert rest is not None
            index = code.arithmetic("rem", rest, n)
            rest = rest / n
            offsets = [o + index * step if step else o for o, step in zip(offsets, steps)]
            if product.accumulates and not steps[2]:
                sums *= n
        if self.tiling is not None:
            self._tiles(self.tiling, block, bases, offsets)
            return
        adds = product.addend is not None
        beta = _number(code, 1.0 if adds else 0.0, self.element)
        if sums != 1 and not adds:
            assert number is not None
            again = code.arithmetic("rem", number, sums).differs(0)
            zero, one = (
                code.parameter(_number(code, value, self.element), "ptr") for value in (0.0, 1.0)
            )
            beta = code.select(again, one, zero).ref
        rows, columns = _whole(code, product.rows), _whole(code, product.columns)
        if block is not None:
            offsets, rows, columns = self._block(block, offsets, rows, columns)
        x, y, out = (
            code.address(base, offset, self.element)
            for base, offset in zip(bases, offsets, strict=True)
        )
        _write_gemm(code, product, function, (x, y, out), (rows, columns), beta, self.element)

    def _tiles(
        self,
        tiling: Tiling,
        block: Register | None,
        bases: Sequence[Register],
        offsets: Sequence[Register | int],
    ) -> None:
        code, split = self.code, self.split
        rows: tuple[Index, Index] = (0, _index(code, self.product.rows))
        columns: tuple[Index, Index] = (0, _index(code, self.product.columns))
        if block is not None:
            first = block * split.chunk
            by_rows = split.axis == "rows"
            length = self.product.rows if by_rows else self.product.columns
            span = (first, code.smaller(first + split.chunk, length))
            rows, columns = (span, columns) if by_rows else (rows, span)
        left, right, result = (
            code.address(base, offset, self.element)
            for base, offset in zip(bases, offsets, strict=True)
        )
        write_tiles(code, self.product, tiling, (left, right, result), rows, columns)

    def _block(
        self, block: Register, offsets: list[Register | int], rows: str, columns: str
    ) -> tuple[list[Register | int], str, str]:
        """Return where the matrices of a block begin, and the addresses of its lengths."""
        code, product, split = self.code, self.product, self.split
        by_rows = split.axis == "rows"
        length = product.rows if by_rows else product.columns
        first = block * split.chunk
        count = code.smaller(length - first, split.chunk)
        address = code.allocate("i32", 1)
        code.store(code.cast("trunc", count, "i32"), address)
        left, right, result = product.left, product.right, product.result
        if by_rows:
            steps, rows = (left.row, 0, result.row), address.ref
        else:
            steps, columns = (0, right.column, result.column), address.ref
        moved = [o + first * step if step else o for o, step in zip(offsets, steps)]
        return moved, rows, columns


def _write_gemm(
    code: Code,
    product: Product,
    function: Register,
    addresses: tuple[Register, Register, Register],
    lengths: tuple[str, str],
    beta: str,
    element: str,
) -> None:
    """Write one call. BLAS counts columns first, so it is asked for the transposed product."""
    left, right, result = product.left, product.right, product.result
    rows, columns = product.rows, product.columns
    x, y, out = addresses
    row_count, column_count = lengths
    if product.is_turned:
        left, right = _turned(right), _turned(left)
        result = _turned(result)
        x, y = y, x
        rows, columns = columns, rows
        row_count, column_count = column_count, row_count
    inner = product.inner
    x_flag, x_width = _flag(left, rows, inner)
    y_flag, y_width = _flag(right, inner, columns)
    width = max(result.row, columns, 1)
    arguments = [
        _letter(code, y_flag),
        _letter(code, x_flag),
        column_count,
        row_count,
        _whole(code, inner),
        _number(code, 1.0, element),
        y.ref,
        _whole(code, y_width),
        x.ref,
        _whole(code, x_width),
        beta,
        out.ref,
        _whole(code, width),
    ]
    listed = ", ".join(f"ptr {argument}" for argument in arguments)
    code.statement(f"call void {function.ref}({listed})")


def _turned(matrix: Matrix) -> Matrix:
    return Matrix(matrix.start, matrix.column, matrix.row)


def _flag(matrix: Matrix, rows: int, columns: int) -> tuple[str, int]:
    """Return whether a matrix is in row-major order, as N or T, and the length of its lines."""
    if matrix.column == 1 or columns == 1:
        return "N", max(matrix.row, columns, 1)
    return "T", max(matrix.column, rows, 1)


def _letter(code: Code, letter: str) -> str:
    code.module.add_global(f"flag_{letter}", f"internal constant i8 {ord(letter)}")
    return f"@flag_{letter}"


def _index(code: Code, n: int) -> Index:
    """Return a length, as a register where only a run knows it."""
    return code.number(n) or n


def _whole(code: Code, n: int) -> str:
    known_later = code.number(n)
    if known_later is not None and n <= MOST_WHOLE:
        address = code.allocate("i32", 1)
        code.store(code.cast("trunc", known_later, "i32"), address)
        return address.ref
    code.module.add_global(f"whole_{n}", f"internal constant i32 {n}")
    return f"@whole_{n}"


def _number(code: Code, value: float, element: str) -> str:
    name = f"{element}_{int(value)}"
    text = code.constant(value, element).ref
    code.module.add_global(name, f"internal constant {element} {text}")
    return f"@{name}"
