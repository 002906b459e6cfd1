"""Commands of a person, in one annotation: `<verb>@<revision>#<nonce>[ <who>][: <why>]`.

It must not know which of them make sense when.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FORM: Final = re.compile(
    r"^(?P<verb>[a-z]+)@(?P<revision>[a-z0-9]([-a-z0-9]*[a-z0-9])?)#(?P<nonce>[^\s:]{1,64})"
    r"( (?P<by>[^\s:][^:\n]{0,63}))?(: (?P<why>[^\n]{1,160}))?$"
)
VALUE_LENGTH_MAX: Final = 400


class Verb(StrEnum):
    PROMOTE = "promote"  # go to 100 % now, whatever the gates still lack
    PAUSE = "pause"  # stay at this weight
    RESUME = "resume"  # go on, also past a step's own pause
    APPROVE = "approve"  # answer the step that asks a person, before or while it does
    ABORT = "abort"  # weight 0 now
    RETRY = "retry"  # roll a rejected revision out again
    RESTART = "restart"  # new pods of the same specification, from today's pool and chart
    UNDO = "undo"  # a kept revision, to whose specification spec was written back


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was understood; `by` and `why` are what its giver said, or empty."""

    verb: Verb
    revision: str
    nonce: str
    by: str = ""
    why: str = ""

    @property
    def word(self) -> str:
        """Tell who gave it and why, as part of a sentence.

        >>> Command(Verb.ABORT, "churn-1", "1", by="ada", why="odd scores").word
        'ada asked for it: odd scores'
        """
        return f"{self.by or 'a person'} asked for it" + (f": {self.why}" if self.why else "")


def parse(value: str) -> Command | str:
    """Read the annotation; a string says what is wrong with it and what to write.

    >>> parse("promote@churn-0a1b2c3d4e#7f")
    Command(verb=<Verb.PROMOTE: 'promote'>, revision='churn-0a1b2c3d4e', nonce='7f', by='', why='')
    >>> command = parse("approve@churn-0a1b2c3d4e#7f ada@example.org: scores look right")
    >>> command.by, command.why
    ('ada@example.org', 'scores look right')
    """
    match = FORM.match(value)
    verbs = ", ".join(Verb)
    if match is None:
        return (
            f"write VERB@REVISION#NONCE with one of {verbs}, then who and why if you like, e.g."
            " promote@churn-0a1b2c3d4e#1 or approve@churn-0a1b2c3d4e#1 ada: scores look right"
        )
    if match["verb"] not in set(Verb):
        return f"there is no command {match['verb']!r}; there are {verbs}"
    return Command(
        Verb(match["verb"]),
        match["revision"],
        match["nonce"],
        by=(match["by"] or "").strip(),
        why=(match["why"] or "").strip(),
    )
