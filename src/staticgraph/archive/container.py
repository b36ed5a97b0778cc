"""The file: a zip of one JSON document and of arrays, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from oplibrary.messages import replacing as files
from oplibrary.messages.errors import ArgumentError, OutputError, ProgramFileError
from oplibrary.values.dtypes import is_numeric, to_dtype
from oplibrary.values.types import Array

VERSION = 1
"""Of the format; a change that older readers would misread counts it up."""

_FORMAT = "staticgraph program"
_DOCUMENT = "program.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry, so that equal programs make equal files."""

_LARGEST_DOCUMENT = 1 << 30
_SMALL_DOCUMENT = 1 << 20
_MOST_SHRUNK = 200
"""Text of programs shrinks by a factor of 10 to 50; a text that shrinks by more is none."""

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_BRAIN = np.dtype("V2")
"""What stands in the header of an array of bfloat16, which ``.npy`` has no name for."""
_WIDTH = 120
_ENCODING = "utf-8", "surrogatepass"
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,  # too deep for a recursion, encrypted, or compressed in an unknown way
    TypeError,
    ValueError,
)
"""What reading bytes that are no program ends with."""


class Contents(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    document : mapping
    arrays : list of ndarray
        Read-only.
    library : str
        The version of the library that wrote it.
    """

    document: Mapping[str, Any]
    arrays: list[Array]
    library: str


def checked_path(name: str, path: Any, example: str = "model.sgp") -> Path:
    """Return the path that was passed to the function `name`.

    Raises
    ------
    ArgumentError
        If it is none.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(
            f"{name}: the path is a {type(path).__name__}",
            cause="a program is kept in one file",
            fix=f'name the file, such as "{example}"',
        )
    return Path(path)


# writing ------------------------------------------------------------------------------------------


def write_file(path: Path, document: Mapping[str, Any], arrays: Sequence[Array]) -> None:
    """Write a document and its arrays; a failure leaves what was there before.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    whole = {
        **document,
        "format": _FORMAT,
        "version": VERSION,
        "library": _library_version(),
        "arrays": len(arrays),
    }
    with replacing(path, "save_program") as name, zipfile.ZipFile(name, "w") as file:
        for number, array in enumerate(arrays):
            # not compressed: weights hardly shrink, and so they are read at once
            entry = zipfile.ZipInfo(_array_name(number), _EPOCH)
            with file.open(entry, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
        whole["checksums"] = [file.getinfo(_array_name(n)).CRC for n in range(len(arrays))]
        entry = zipfile.ZipInfo(_DOCUMENT, _EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        text = "\n".join(_lines(whole)) + "\n"
        file.writestr(entry, text.encode(*_ENCODING))


@contextmanager
def replacing(path: Path, what: str) -> Iterator[str]:
    """Give the name of a new file, which takes the place of `path` if all goes well.

    Raises
    ------
    OutputError
        If the file cannot be written; `what` is done, for the message.
    """
    try:
        with files.replacing(path) as name:
            yield name
    except OSError as error:
        raise OutputError(
            f"{what}: cannot write {path}: {error.strerror or error}",
            cause=f"the folder {path.parent} does not exist or does not allow it, or is full",
        ) from error


def _array_name(number: int) -> str:
    return f"arrays/{number}.npy"


def _library_version() -> str:
    try:
        return metadata.version("sidebyside")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"


def _lines(value: Any, margin: str = "") -> list[str]:
    """Return JSON as lines: what is short stands on one, keys in order."""
    line = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)
    if len(margin) + len(line) <= _WIDTH or not isinstance(value, (dict, list, tuple)):
        return [margin + line]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines = [margin + opening]
    inner = margin + " "
    for key, each in sorted(value.items()) if isinstance(value, dict) else enumerate(value):
        first, *more = _lines(each, inner)
        if isinstance(value, dict):
            first = f"{inner}{json.dumps(key, ensure_ascii=False)}: {first.removeprefix(inner)}"
        lines += [first, *more]
        lines[-1] += ","
    lines[-1] = lines[-1].removesuffix(",")
    return [*lines, margin + closing]


# reading ------------------------------------------------------------------------------------------


def read_file(path: Path) -> Contents:
    """Return the contents of a file, of which nothing is run.

    Raises
    ------
    ProgramFileError
        If there is no such file, or it is damaged, of another kind or of another version.
    """
    try:
        with _opened(path) as stream, zipfile.ZipFile(stream) as file:
            _require_honest(file, os.fstat(stream.fileno()).st_size)
            document = _read_document(file)
            checksums = document.get("checksums")
            arrays = []
            for number in range(document["arrays"]):
                info = file.getinfo(_array_name(number))
                if checksums is not None and checksums[number] != info.CRC:
                    raise ValueError(f"{info.filename} is not the array that was saved")
                arrays.append(_read_array(file, info))
    except FileNotFoundError:
        raise ProgramFileError(
            "there is no such file",
            cause=f"the working folder is {Path.cwd()}",
            fix="pass the path that sg.save_program was given",
        ) from None
    except OSError as error:
        raise ProgramFileError(
            f"it cannot be read: {error.strerror or error}",
            cause="the file system refused it",
            fix="pass the path of a file that you may read",
        ) from error
    except ProgramFileError:
        raise
    except _DAMAGE as error:
        raise ProgramFileError(
            f"it is damaged, or holds no program: {error}",
            cause="a program is a zip of JSON and arrays, each with a checksum",
            fix="copy the file again, or save the program again with sg.save_program",
        ) from error
    return Contents(document, arrays, str(document.get("library", "unknown")))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, and wait for nothing where it is a pipe or a device."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        with open(handle, "rb", closefd=False) as stream:
            yield stream
    finally:
        os.close(handle)


def _require_honest(file: zipfile.ZipFile, size: int) -> None:
    """Refuse entries that take more memory than the file has bytes for, before any is read."""
    stored = 0
    for entry in file.infolist():
        if entry.compress_size > size:  # as many bytes are asked for when it is read
            raise ValueError(f"{entry.filename} has {entry.compress_size:,} bytes of {size:,}")
        if entry.filename != _DOCUMENT:
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{entry.filename} is compressed")
            stored += max(entry.file_size, entry.compress_size)
        elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{_DOCUMENT} is compressed in another way")
        elif entry.file_size > _LARGEST_DOCUMENT or entry.file_size > max(
            _SMALL_DOCUMENT, _MOST_SHRUNK * entry.compress_size
        ):
            raise ValueError(f"{_DOCUMENT} would take {entry.file_size:,} bytes")
    if stored > size:
        raise ValueError(f"its entries have {stored:,} bytes, and the file {size:,}")


def _read_document(file: zipfile.ZipFile) -> dict[str, Any]:
    if _DOCUMENT not in file.namelist():
        raise ValueError(f"it has no {_DOCUMENT}")
    document = json.loads(file.read(_DOCUMENT).decode(*_ENCODING))
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError(f"its {_DOCUMENT} is of another kind")
    version = document.get("version")
    if version != VERSION:
        raise ProgramFileError(
            f"it has version {version!r} of the format, and version {VERSION} is known here",
            cause=f"version {document.get('library')} of the library wrote it",
            fix="open it with that version, or save the program again with this one",
        )
    return document


def _read_array(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    with file.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = _HEADERS.get(version)
        if read is None:
            raise ValueError(f"{info.filename} is an array of version {version}")
        shape, _, dtype = read(stream)
        if dtype.hasobject:
            raise ValueError("Object arrays are pickles, which are not read")
        if not (is_numeric(dtype) or dtype == _BRAIN) or min(shape, default=0) < 0:
            raise ValueError(f"{info.filename} is no array of numbers")
        if prod(shape) * dtype.itemsize != info.file_size - stream.tell():
            raise ValueError(f"{info.filename} is shorter or longer than its array")
    with file.open(info) as stream:
        array: Array = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):  # which also has the checksum compared
            raise ValueError(f"{info.filename} is longer than its array")
    if array.dtype == _BRAIN:
        array = array.view(to_dtype("bfloat16"))
    array.flags.writeable = False
    return array
