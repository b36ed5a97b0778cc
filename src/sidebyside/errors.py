"""Every error and warning of the library: the same classes in both modes."""

from oplibrary.errors import *  # noqa: F403  exactly what the catalogue holds
