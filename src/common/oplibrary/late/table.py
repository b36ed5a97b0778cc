"""A table that knows its names from the start, and loads what they stand for when asked."""

from __future__ import annotations

from collections.abc import Hashable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TypeVar

from oplibrary.late.modules import bring, is_running

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def by_name(contents: Mapping[str, str]) -> dict[str, str]:
    """Return the module of each name, given the names of each module, separated by spaces."""
    return {name: module for module, names in contents.items() for name in names.split()}


class Late(dict[K, T]):
    """Entries by name, which modules enter when they are imported.

    Asked for an entry that is not there yet, the table imports the module of that name; asked for
    all, it imports all modules. What is entered beside them is in it, too. An entry that is there
    costs what one of a dict costs.

    Parameters
    ----------
    modules : mapping, optional
        Of each name, the module that enters it. More may be put into the attribute of this name.

    Examples
    --------
    >>> table = Late({"loop": "oplibrary.core.loops"})
    >>> "loop" in table, table.get("branch")
    (True, None)
    """

    def __init__(self, modules: Mapping[K, str] | None = None) -> None:
        super().__init__()
        self.modules: dict[K, str] = dict(modules or {})

    def __missing__(self, name: K) -> T:
        bring(self.modules[name])
        found = dict.get(self, name)
        if found is None:  # the table is older than the module
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or name in self.modules

    def get(self, name: K, default: T | None = None) -> T | None:  # type: ignore[override]
        """Return the entry called `name`, loaded now if need be, or `default`."""
        return self[name] if name in self else default  # noqa: SIM401  that is this method

    def enter(self, name: K, entry: T) -> T:
        """Enter `entry` and return it, or what its module entered before if that runs again.

        Raises
        ------
        AssertionError
            If the name is that of another entry, be it one that is not loaded yet.
        """
        module = self.modules.get(name)
        if module is None:
            assert not dict.__contains__(self, name), name
        else:
            assert is_running(module), name
        if not dict.__contains__(self, name):
            self[name] = entry
        return self[name]

    def __iter__(self) -> Iterator[K]:
        """Load everything; the names come in the order of the modules, then the others."""
        for module in dict.fromkeys(self.modules.values()):
            bring(module)
        known = [name for name in self.modules if dict.__contains__(self, name)]
        return iter(dict.fromkeys([*known, *dict.__iter__(self)]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def keys(self) -> KeysView[K]:  # type: ignore[override]
        """Load everything and return the names."""
        return KeysView(self)

    def values(self) -> ValuesView[T]:  # type: ignore[override]
        """Load everything and return the entries."""
        return ValuesView(self)

    def items(self) -> ItemsView[K, T]:  # type: ignore[override]
        """Load everything and return names and entries."""
        return ItemsView(self)
