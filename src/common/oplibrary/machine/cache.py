"""Cache: entries on disk, found again by the content that they were made from.

Object code is named by the hash of its LLVM IR, the processor and the versions of LLVM and
llvmlite, so it never has to be invalidated. An entry holds the hash of its name and its content: a
torn or foreign file, and one that was made under another name, for another program or processor,
is made anew. Only regular files are read; a link is not followed, and a pipe not waited for. Files
appear by renaming, so processes that write at once do not disturb each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from oplibrary.machine.target import Target, assemble, load_llvm

VARIABLE = "SIDEBYSIDE_CACHE"
LIMIT_BYTES = 256 << 20
"""What all entries take, about; the ones that were not used for longest go first."""
TRIMS = 32
"""How often entries are looked through, about, until as many bytes as the limit are written: it
takes a file's status for each, which is more than many an entry takes to make."""
ABANDONED_SECONDS = 3600.0
"""After that time a file that is being written is one that nobody writes any more."""
_MAGIC = b"sidebyside cache 3\n"
_HASH_BYTES = 32
_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)
_SUFFIXES = (".o", ".image")
_bypassed: ContextVar[bool] = ContextVar("bypassed", default=False)


@contextlib.contextmanager
def bypassed() -> Iterator[None]:
    """Neither read nor write the cache meanwhile, in this thread: builds are cold."""
    token = _bypassed.set(True)
    try:
        yield
    finally:
        _bypassed.reset(token)


def cache_folder() -> Path | None:
    """Return where object code is kept, or None where it is not.

    The environment variable ``SIDEBYSIDE_CACHE`` names the folder, or is ``off``. Without it, it is
    the user's cache folder of the platform.
    """
    given = os.environ.get(VARIABLE, "")
    if _bypassed.get() or given.lower() in ("off", "0", "no", "false"):
        return None
    if given:
        return Path(given)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "sidebyside"


def assemble_cached(text: str, target: Target, level: int = 2) -> bytes:
    """Return the object code of a module, from the cache if it is there.

    Parameters
    ----------
    text : str
    target : Target
    level : int
        As of `assemble`.
    """
    name = object_name(text, target, level)
    found = read_entry(name)
    if found is None:
        found = assemble(text, target, level)
        write_entry(name, found)
    return found


def object_name(text: str, target: Target, level: int = 2) -> str:
    """Return the name of the entry with the object code of a module."""
    import llvmlite

    versions = f"{llvmlite.__version__} {load_llvm().llvm_version_info}"
    parts = (versions, target.triple, target.cpu, target.features, str(level), text)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest() + ".o"


def read_entry(name: str) -> bytes | None:
    """Return the content of an entry, or None where there is none that can be trusted."""
    folder = cache_folder()
    return None if folder is None else _read(folder / name)


def write_entry(name: str, content: bytes) -> None:
    """Keep an entry; that the cache cannot be written is no reason to fail."""
    folder = cache_folder()
    if folder is None:
        return
    with contextlib.suppress(OSError):
        _write(folder / name, content)
        if _is_due(name, len(content)):
            _trim(folder)


def _read(path: Path) -> bytes | None:
    try:
        if not _is_private(path.parent.stat()):
            return None
        handle = os.open(path, _FLAGS)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or not _is_private(status):
                return None
            if status.st_size > LIMIT_BYTES:
                return None
            with open(handle, "rb", closefd=False) as file:
                content = file.read()
        finally:
            os.close(handle)
    except (OSError, MemoryError):
        return None
    code = content[len(_MAGIC) + _HASH_BYTES :]
    if content[: len(_MAGIC) + _HASH_BYTES] != _MAGIC + _digest(path.name, code):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return code


def _digest(name: str, code: bytes) -> bytes:
    """Return the hash of an entry: of its content, and of the name that it belongs to."""
    digest = hashlib.sha256(f"{name}\0".encode())
    digest.update(code)
    return digest.digest()


def _is_private(status: os.stat_result) -> bool:
    """Tell whether nobody else could have written a file, since its content is executed."""
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _write(path: Path, code: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + _digest(path.name, code) + code)
        with contextlib.suppress(OSError):  # nothing but an empty folder is removed by this
            path.rmdir()
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _is_due(name: str, nbytes: int) -> bool:
    """Tell whether an entry is one after which the others are looked through.

    The chance is that of its bytes, whatever process writes it: a name begins with a hash.
    """
    return int(name[:8], 16) * LIMIT_BYTES < nbytes * TRIMS << 32


def _trim(folder: Path) -> None:
    """Remove the entries that were not used for longest, until the rest is small enough.

    What a process began to write and never finished goes, too.
    """
    entries = []
    with os.scandir(folder) as found:
        for each in found:
            if each.name.endswith((*_SUFFIXES, ".new")):
                with contextlib.suppress(OSError):
                    status = each.stat(follow_symlinks=False)
                    is_old = status.st_mtime < time.time() - ABANDONED_SECONDS
                    if is_old and each.name.endswith(".new"):
                        os.unlink(each)
                        continue
                    entries.append((status.st_mtime, status.st_size, each.path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= LIMIT_BYTES:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
        total -= size
