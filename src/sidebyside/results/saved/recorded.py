"""What stands in the environment of a comparison, by its types: see `RECORDED` for the meanings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from sidebyside.measuring.machine import Machine


class Finite(float):
    """A number that JSON has."""


class Pool(TypedDict):
    """One pool of threads."""

    library: str | None
    version: str | None
    threads: int | None
    architecture: str | None


class SettingsRecord(TypedDict, total=False):
    """What a measurement was asked for."""

    budget: float
    replicates: int
    seed: int
    tolerance: Mapping[str, float]
    time_limit: float
    validate: bool
    instructions: bool
    attribute: bool


class Environment(TypedDict, total=False):
    """What was recorded; nothing need be known."""

    date: datetime
    commit: str | None
    host: str
    processor: str
    system: str
    kernel: str
    cores: int
    load: Finite | None
    python: str
    versions: Mapping[str, str]
    threads: int
    thread_variables: Mapping[str, str]
    pools: Mapping[str, tuple[Pool, ...]]
    settings: SettingsRecord
    machine: Machine
    collector: str
    order: str
    one_process: str
    interrupted: bool


CHECKED: dict[tuple[str, str], Any] = {("Comparison", "environment"): Environment}
"""Fields, by the class and the name, whose values stay as they are, but must be of a type."""
