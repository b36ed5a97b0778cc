"""BLAS: where its functions are, and the instructions that call them."""

from __future__ import annotations

import ctypes
import glob
import importlib.util
import os
import sys
from functools import lru_cache
from typing import Any

from common.errors import BackendError
from staticgraph.backends.native.code import Code
from staticgraph.backends.native.elements import FLOAT32, element_of
from staticgraph.backends.native.memory_access import fill
from staticgraph.backends.native.products import Matrix, Product
from staticgraph.backends.native.register import Register

FUNCTIONS = ("sgemm", "dgemm")
"""The functions whose addresses a run is given, in order."""


@lru_cache(maxsize=1)
def blas_addresses() -> tuple[int, ...]:
    """Return the addresses of `FUNCTIONS`, from SciPy's table for compiled code.

    Raises
    ------
    BackendError
        If SciPy is missing, or its functions are not what they were.
    """
    try:
        table = _cython_blas().__pyx_capi__
    except ImportError:
        raise BackendError(
            "the native backend needs SciPy for matrix products, and it is not installed",
            cause="SciPy brings the BLAS functions that compiled code calls",
            fix='run `pip install scipy` (the extra sidebyside[native]), or use backend="numpy"',
        ) from None
    return tuple([_address(table[name], name) for name in FUNCTIONS])


def _cython_blas() -> Any:
    name = "scipy.linalg.cython_blas"
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
    import scipy.linalg.cython_blas

    return scipy.linalg.cython_blas


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


def write_product(
    code: Code, product: Product, functions: list[Register], bases: tuple[Register, ...]
) -> None:
    """Write the calls that compute a product.

    Parameters
    ----------
    code : Code
    product : Product
    functions : list of Register
        The addresses of `FUNCTIONS`.
    bases : tuple of Register
        The addresses of the left and right operand and of the result.
    """
    element = element_of(product.dtype)
    matrices = [product.left, product.right, product.result]
    addresses = [
        code.address(base, matrix.start, element)
        for base, matrix in zip(bases, matrices, strict=True)
    ]
    if product.accumulates:
        fill(code, bases[-1], 0, product.dtype, product.size, 64)
    loops = []
    for rounds, *steps in product.loops:
        loop = code.begin_loop(0, rounds, 1, [])
        loops.append(loop)
        addresses = [
            code.address(address, loop.index * step, element)
            for address, step in zip(addresses, steps, strict=True)
        ]
    function = functions[0 if product.dtype == FLOAT32 else 1]
    _write_gemm(code, product, function, addresses, element)
    for loop in reversed(loops):
        code.end_loop(loop, [])


def _write_gemm(
    code: Code, product: Product, function: Register, addresses: list[Register], element: str
) -> None:
    """Write one call. BLAS counts columns first, so it is asked for the transposed product."""
    left, right, result = product.left, product.right, product.result
    rows, columns = product.rows, product.columns
    x, y, out = addresses
    if result.column != 1 and columns > 1:
        # the transposed product is what is in row-major order
        left, right = _turned(right), _turned(left)
        result = _turned(result)
        x, y = y, x
        rows, columns = columns, rows
    inner = product.inner
    x_flag, x_width = _flag(left, rows, inner)
    y_flag, y_width = _flag(right, inner, columns)
    width = max(result.row, columns, 1)
    arguments = [
        _letter(code, y_flag),
        _letter(code, x_flag),
        _whole(code, columns),
        _whole(code, rows),
        _whole(code, inner),
        _number(code, 1.0, element),
        y.ref,
        _whole(code, y_width),
        x.ref,
        _whole(code, x_width),
        _number(code, 1.0 if product.accumulates else 0.0, element),
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


def _whole(code: Code, n: int) -> str:
    code.module.add_global(f"whole_{n}", f"internal constant i32 {n}")
    return f"@whole_{n}"


def _number(code: Code, value: float, element: str) -> str:
    name = f"{element}_{int(value)}"
    text = code.constant(value, element).ref
    code.module.add_global(name, f"internal constant {element} {text}")
    return f"@{name}"
