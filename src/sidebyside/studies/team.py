"""The processes of one replicate: one for each mode, and one that repeats the reference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sidebyside.studies.mode_process import ModeProcess, ModeProcessError

CONTROL = "the reference again"
"""The label of the process that repeats the reference."""


class Team(AbstractContextManager["Team"]):
    """The processes of one replicate, each started when it is first needed."""

    def __init__(self, modes: Mapping[str, str | bytes], time_limit: float) -> None:
        self._modes = dict(modes)
        self._time_limit = time_limit
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._begun: dict[str, ModeProcess] = {}
        self._waiting = {label: self._start(label) for label in modes}

    def _start(self, label: str) -> ModeProcess:
        # nothing on disk of earlier builds, so that a first start is one
        folder = Path(self._folder.name, str(len(self._begun)), label.replace("/", "-"))
        environment = {
            "SIDEBYSIDE_CACHE": str(folder / "native"),
            "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
            "TRITON_CACHE_DIR": str(folder / "triton"),
        }
        return ModeProcess(self._modes[label], environment, self._time_limit, begin=False)

    def repeat(self, reference: str) -> None:
        """Let the control be another process of the mode `reference`."""
        if self._modes.get(CONTROL) != self._modes[reference]:
            self._modes[CONTROL] = self._modes[reference]
            if CONTROL in self._begun:
                self._begun.pop(CONTROL).close()

    def ask(self, label: str, request: str, *arguments: Any) -> Any:
        """Return what the process of a mode answers; one that is lost is started anew.

        Raises
        ------
        ModeProcessError
        """
        try:
            if label not in self._begun:
                process = self._waiting.pop(label) if label in self._waiting else None
                self._begun[label] = process or self._start(label)
                self._begun[label].begin()
            return self._begun[label].ask(request, *arguments)
        except ModeProcessError as error:
            if error.lost or request == "begin":
                self._begun.pop(label).close()
            raise

    def __exit__(self, *_: object) -> None:
        for process in (*self._begun.values(), *self._waiting.values()):
            process.close()
        self._folder.cleanup()
