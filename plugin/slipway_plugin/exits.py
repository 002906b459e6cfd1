"""Exit codes, the same for every verb, and the error that ends a verb.

They are for pipelines: each tells apart what a pipeline does next.
"""

from enum import IntEnum


class Exit(IntEnum):
    """How a verb ended."""

    REACHED = 0  # what was asked for is so
    ERROR = 1  # usage, kubectl, the API server, or a command that was refused
    TAKEN_BACK = 2  # rolled back, aborted or stalled: nothing goes on by itself
    UNDER_WAY = 3  # not yet; for `wait` the time is over
    PERSON = 4  # a person must say go on
    SUPERSEDED = 5  # another change replaced the one that was waited for


class PluginError(Exception):
    """A verb cannot go on; the message says what failed and what to do. Ends with `Exit.ERROR`."""
