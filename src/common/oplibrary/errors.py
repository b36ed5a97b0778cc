"""Every error and warning of the library, under the name that messages print and users import."""

from oplibrary.messages.errors import *  # noqa: F403  exactly what the catalogue holds
