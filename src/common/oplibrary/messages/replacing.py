"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_stream(path: Path) -> bool:
    """Tell whether something is there that is no file and no folder: a device, a pipe, a terminal.

    Examples
    --------
    >>> is_stream(Path(os.devnull)), is_stream(Path(__file__))
    (True, False)
    """
    return path.exists() and not path.is_file() and not path.is_dir()


def written_file(path: Path) -> Path:
    """Return the file that is written for `path`: where it is a link, the one that it leads to."""
    leads = path.is_symlink() and not is_stream(path)
    return Path(os.path.realpath(path)) if leads else path


@contextmanager
def replacing(path: Path) -> Iterator[str]:
    """Give the name of a new file, which takes the place of `path` if all goes well.

    A link stays one, and a file keeps its permissions. A stream cannot be replaced (with the rights
    of the administrator its device would be gone): the whole is written to it at the end.

    Raises
    ------
    OSError
    """
    target, streams = written_file(path), is_stream(path)
    folder = None if streams else target.parent
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=folder)
    os.close(handle)
    try:
        yield name
        if streams:
            with open(name, "rb") as whole, open(target, "wb", buffering=0) as stream:
                shutil.copyfileobj(whole, stream)
            return
        os.chmod(name, _mode(target))
        os.replace(name, target)
    finally:
        if os.path.exists(name):
            os.unlink(name)


def _mode(target: Path) -> int:
    """Return the permissions of a file that is there, or those that a new one gets."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
