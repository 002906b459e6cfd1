"""The annotation that carries a command: `VERB@REVISION#NONCE[ WHO][: WHY]`. Pure.

WHO is what the cluster calls who gives it, as far as the form has room; it proves nothing.
"""

import re
from typing import Any, Final

from slipway_plugin.exits import PluginError

WHO_LENGTH_MAX: Final = 64
WHY_LENGTH_MAX: Final = 160


def value(verb: str, revision: str, *, nonce: str, who: str = "", why: str = "") -> str:
    """Write a command.

    >>> value("approve", "churn-0a1b2c3d4e", nonce="7f", who="ada", why="scores look right")
    'approve@churn-0a1b2c3d4e#7f ada: scores look right'
    >>> value("abort", "churn-0a1b2c3d4e", nonce="7f", why="odd")
    'abort@churn-0a1b2c3d4e#7f: odd'
    """
    return f"{verb}@{revision}#{nonce}" + (f" {who}" if who else "") + (f": {why}" if why else "")


def who_of(review: Any) -> str:
    """Name the user of a SelfSubjectReview; empty if it tells none.

    A colon would end the name in the annotation.

    >>> who_of({"status": {"userInfo": {"username": "system:serviceaccount:ml:ci"}}})
    'system/serviceaccount/ml/ci'
    >>> who_of({})
    ''
    """
    name = ((review.get("status") or {}).get("userInfo") or {}).get("username") or ""
    return re.sub(r"\s+", " ", str(name).replace(":", "/")).strip()[:WHO_LENGTH_MAX].rstrip()


def why_of(text: str | None) -> str:
    """Check --why; raises PluginError.

    >>> why_of(" scores look right "), why_of(None)
    ('scores look right', '')
    """
    why = (text or "").strip()
    if len(why) > WHY_LENGTH_MAX or "\n" in why or "\r" in why:
        lines = len(why.splitlines())
        raise PluginError(
            f"--why has {len(why)} characters in {lines} lines:"
            f" write one line of at most {WHY_LENGTH_MAX}"
        )
    return why
