"""Last words: why a model server gave up, as one line that people and the operator read alike.

The server writes it into the pod's termination message. A server that is not ours may write what
it likes; it is then quoted as it is. Standard library only.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class LoadPhase(StrEnum):
    """What a server goes through before it is ready, in this order."""

    START = "start"  # settings and ports
    FETCH = "fetch"  # the bytes are brought here
    VERIFY = "verify"  # they have the digest that was declared
    LOAD = "load"  # the engine takes them
    SIGNATURE = "signature"  # inputs and outputs are those that were declared
    WARM_UP = "warm-up"  # inferences of zeros over the declared shapes
    GOLDEN = "golden"  # golden requests get the answers expected


_RETRY: Final = {True: "does not help", False: "may help"}
_FORM: Final = re.compile(
    rf"phase ({'|'.join(LoadPhase)}) failed, a retry ({'|'.join(_RETRY.values())}): (.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class LastWords:
    """`is_permanent`: the same start would fail again."""

    phase: LoadPhase
    is_permanent: bool
    cause: str

    @property
    def verdict(self) -> str:
        """What failed and whether trying again makes sense, without the cause.

        >>> LastWords(LoadPhase.GOLDEN, True, "…").verdict
        'phase golden failed, a retry does not help'
        """
        return f"phase {self.phase} failed, a retry {_RETRY[self.is_permanent]}"

    def __str__(self) -> str:
        return f"{self.verdict}: {self.cause}"


def read(text: str) -> LastWords | None:
    """Read last words; None if no server of ours wrote them.

    >>> read("phase fetch failed, a retry may help: no route to host").phase.value
    'fetch'
    """
    found = _FORM.match(text)
    if found is None:
        return None
    phase, retry, cause = found.groups()
    return LastWords(LoadPhase(phase), retry == _RETRY[True], cause)
