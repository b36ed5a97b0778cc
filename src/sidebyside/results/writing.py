"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from oplibrary.messages.errors import OutputError
from oplibrary.messages.replacing import is_stream, replacing, written_file


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Return `path`, or refuse it before any work is done for it.

    Raises
    ------
    OutputError
        If its folder does not exist or does not allow writing, or if it is a folder itself.
    """
    target = Path(path)
    folder = written_file(target).parent
    if is_stream(target):
        if not os.access(target, os.W_OK):
            raise OutputError(
                f"cannot write {target}: Permission denied",
                cause="it is no file, and does not allow writing",
                fix="name a file in a folder that you may write to",
            )
        return target
    if target.is_dir():
        raise OutputError(
            f"{target} is a folder", cause="one file is written", fix=f"name a file in {target}"
        )
    if not folder.is_dir():
        missing = not folder.exists()
        what = f"the folder {folder} does not exist" if missing else f"{folder} is not a folder"
        raise OutputError(
            f"cannot write {target}: {what}",
            cause="nothing was done yet: the result would have been lost",
            fix=f"create it first, mkdir -p {folder}, or choose another place"
            if missing
            else "choose another place",
        )
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=folder)
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}",
            cause=f"the folder {folder} does not allow writing",
            fix="choose a folder that you may write to",
        ) from None
    os.close(handle)
    os.unlink(name)
    return target


def write_whole(path: str | os.PathLike[str], text: str, overwrite: bool = True) -> None:
    """Write `text` to `path`; a failure leaves what was there before.

    Without `overwrite`, a file that is there already is a failure.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    target = check_writable(path)
    taken = False
    try:
        with replacing(target) as name:
            Path(name).write_text(text, encoding="utf-8", newline="")
            if not overwrite:  # takes the name, or finds that somebody else was quicker
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                taken = True
        taken = False
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}",
            cause="the file system refused it",
            fix="make room, or choose another place",
        ) from None
    finally:
        if taken:
            os.unlink(target)
