"""Commands of a person: `<verb>@<revision>#<nonce>` in one annotation, answered in status.

It must not know which of them make sense when.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FORM: Final = re.compile(
    r"^(?P<verb>[a-z]+)@(?P<revision>[a-z0-9]([-a-z0-9]*[a-z0-9])?)#(?P<nonce>\S{1,64})$"
)
VALUE_LENGTH_MAX: Final = 253


class Verb(StrEnum):
    PROMOTE = "promote"  # go to 100 % now, whatever the gates still lack
    PAUSE = "pause"  # stay at this weight
    RESUME = "resume"  # go on, also past a step's own pause
    ABORT = "abort"  # weight 0 now
    RETRY = "retry"  # roll a rejected revision out again
    RESTART = "restart"  # new pods of the same specification, from today's pool and chart
    UNDO = "undo"  # a kept revision, to whose specification spec was written back


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was understood."""

    verb: Verb
    revision: str
    nonce: str


def parse(value: str) -> Command | str:
    """Read the annotation; a string says what is wrong with it and what to write.

    >>> parse("promote@churn-0a1b2c3d4e#7f")
    Command(verb=<Verb.PROMOTE: 'promote'>, revision='churn-0a1b2c3d4e', nonce='7f')
    """
    match = FORM.match(value)
    verbs = ", ".join(Verb)
    if match is None:
        return f"write VERB@REVISION#NONCE with one of {verbs}, e.g. promote@churn-0a1b2c3d4e#1"
    if match["verb"] not in set(Verb):
        return f"there is no command {match['verb']!r}; there are {verbs}"
    return Command(Verb(match["verb"]), match["revision"], match["nonce"])
