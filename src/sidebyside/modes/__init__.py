"""The modes: one record a way of running programs, loaded when it is asked for."""

from __future__ import annotations

from sidebyside.modes.mode import Counted, Mode, PassEffect, Prepared
from sidebyside.modes.registry import MODES, PEERS, entered_modes, find_mode, is_installed

__all__ = [
    "MODES",
    "PEERS",
    "Counted",
    "Mode",
    "PassEffect",
    "Prepared",
    "entered_modes",
    "find_mode",
    "is_installed",
]
