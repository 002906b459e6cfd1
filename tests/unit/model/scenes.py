"""Scenes: short sequences of moves, as data. They bias chance towards what is rare, and no more.

A story opens in a named situation and leads to a row of the table; what comes after it is drawn
from what leads on from the phase that it came to.
"""

from typing import Final

from slipway_api.conditions import Phase
from tests.unit.model.stage import GATES

Scene = tuple[str, ...]
Scenes = tuple[Scene, ...]

_SERVE: Final[Scene] = ("work on", "work on", "look")
_WEIGH: Final[Scene] = (*_SERVE, "ask new", "look", "live", "look", "routers confirm")
_STEP: Final[Scene] = (*_SERVE, "use canary", "ask new", "look", "live", "look", "live", "look")
_FULL: Final[Scene] = (*_SERVE, "use direct", "ask new", "look", "live", "look", "live")
_ASKED: Final[Scene] = (*_SERVE, "use canary to 100", "ask new", "look", "live", "look", "live")
_SHADOW: Final[Scene] = (*_SERVE, "use shadow", "ask new", "look", "live", "look", "live", "look")
_SWITCH: Final[Scene] = (
    *(*_SERVE, "use blue-green", "ask new", "look", "live", "look", "live", "look"),
    *("pass the hold", "look", "live"),
)
_ABORT: Final[Scene] = (*_WEIGH, "convict Errors", "look")
_REPAIR: Final[Scene] = ("surround", "mend manifest", "heal")

# Nothing is counted of an opening: it is played once, and forked whenever it is needed.
OPENINGS: Final[dict[str, Scene]] = {
    "nothing": (),
    "pending": ("look",),
    "failed": ("pool gone", "look", "surround"),
    "serving": _SERVE,
    "rolling": (*_SERVE, "ask new", "look"),
    "weighted": _WEIGH,
    "in a step": _STEP,
    "with a query": ("measure query", *_STEP),
    "with an alert": ("measure alert", *_STEP),
    "with a budget": ("allow three", *_STEP),
    "with a static answer": ("say something", *_SERVE),
    "paused": (*_STEP, "pause", "look"),
    "paused at 100": (*_FULL, "pause", "look"),
    "asked": (*_ASKED, "look"),
    "shadowing": _SHADOW,
    "switched": _SWITCH,
    "aborting": _ABORT,
    "rolled back": (*_ABORT, "live", "look"),
    "stalled": (*_SERVE, "pool gone", "ask new", "look", "surround"),
    "broken": (*_STEP, "break manifest", "look"),
    "detached": (*_SERVE, "detach", "look", "look"),
}

_DOOMS: Final[Scenes] = (
    ("doom model", "live", "look"),
    ("doom crash", "live", "look"),
    ("doom image", "live", "look"),
    ("doom silence", "pass the start", "look"),
)
_HICCUPS: Final[Scenes] = (("doom pull", "live", "look"), ("doom config", "live", "look"))
_OBSTACLES: Final[Scenes] = (("pool gone",), ("nodes gone",), ("deployment taken",))
_UNREADY: Final[Scene] = ("unready candidate", "look", "pass the gap", "look")
_NO_WAY_BACK: Final[Scene] = ("unready stable", "convict Errors", "look")

STORIES: Final[dict[str, Scenes]] = {
    "nothing": (
        ("pool gone", "look"),
        ("nodes gone", "look"),
        ("ports taken", "look"),
        ("detach", "look"),
        ("break manifest", "look"),
    ),
    "pending": (
        *_DOOMS,
        *_HICCUPS,
        ("live", "unready candidate", "look"),
        ("live", "lose node of candidate", "look"),
        ("live", "look", "live", "look", "live", "look"),
        ("live", "look", "live", "service taken", "look"),
        ("live", "look", "service taken", "look", "live", "look"),
        ("live", "look", "service taken", "look", "live", "surround", "look"),
    ),
    "failed": (("look", "work on"),),
    "serving": (
        *((*obstacle, "ask new", "look") for obstacle in _OBSTACLES),
        ("detach", "look"),
        ("break manifest", "look"),
        ("undo nothing", "look", "retry", "look", "promote", "look", "approve", "look"),
        ("pause", "look", "resume", "look", "abort", "look", "nonsense", "look"),
        ("preview taken", "use blue-green", "look"),
        ("restart", "look"),
        ("unready stable", "look"),
    ),
    "rolling": (
        *_DOOMS,
        ("flap candidate", "look", "pass the start", "flap candidate", "look"),
        ("flap candidate", "look", "pause", "live", "look", "pass a minute", "look"),
        *_HICCUPS,
        ("remove candidate", "deployment taken", "look"),
        ("live", "look", "pause", "look"),
        ("live", "look", "pause", "look"),
    ),
    "weighted": (
        *((f"convict {reason}", "look") for reason in GATES),
        ("abort", "look"),
        ("crash candidate", "look"),
        ("crash candidate", "look", "routers confirm", "look", "retry", "look"),
        ("crash candidate", "look", "live", "pass a moment", "look", "retry", "look"),
        ("ask new", "look", "live", "look"),
        ("ask stable", "look", "live", "look"),
        ("evict candidate", "look"),
    ),
    "in a step": (
        _UNREADY,
        _NO_WAY_BACK,
        ("gates lack", "then hold", "pass the hold", "look"),
        ("gates lack", "pass the hold", "look"),
        ("gates lack", "then pause", "pass the hold", "look"),
        ("gates unknown", "pass the hold", "look"),
        ("shed", "pass the hold", "look"),
        ("pass the hold", "look"),
        ("detach", "look"),
        ("break manifest", "look"),
    ),
    "with a query": (
        ("value bad", "pass the hold", "live", "look", "pass the hold", "live", "look"),
        ("value away", "pass the hold", "live", "look"),
    ),
    "with an alert": (
        ("alert since", "pass", "live", "look"),
        ("alert always", "live", "look"),
    ),
    "with a budget": (
        ("bad answers", "look"),
        ("bad answers", "lower", "routers confirm", "look"),
        ("bad answer", "bad answer", "pass the hold", "look", "end", "look", "bad answer", "look"),
        ("bad answers", "allow any", "look"),
    ),
    "with a static answer": (
        ("unready stable", "look"),
        ("ask new", "look", "live", "look", "unready stable", "unready candidate", "look"),
        ("unready stable", "say nothing", "look"),
    ),
    "paused": (
        ("convict Errors", "look"),
        ("convict Errors", "lower", "routers confirm", "look"),
        ("resume", "look"),
        ("detach", "look"),
        ("break manifest", "look", "mend manifest", "look"),
        ("cut off candidate", "convict Errors", "look"),
    ),
    "asked": (("approve", "look"),),
    "shadowing": (("pass the hold", "look", "live", "look"),),
    "switched": (
        ("look", "convict Errors", "look", "live", "look"),
        ("look", "pass the hold", "pass the hold", "pass the hold", "look"),
    ),
    "paused at 100": (("promote", "look"),),
    "aborting": (
        ("ask stable", "live", "look"),
        ("ask new", "live", "look"),
        ("ask new", "pool gone", "live", "look"),
        ("detach", "look"),
        ("abort", "look", "resume", "look"),
    ),
    "rolled back": (
        ("retry", "look"),
        ("ask stable", "look", "ask rejected", "look"),
        ("break manifest", "look", "mend manifest", "look"),
        ("restart", "look"),
        ("undo", "look"),
    ),
    "stalled": (("look",), ("ask stable", "look")),
    "broken": (
        ("mend manifest", "look"),
        ("mend manifest", "convict Errors", "look"),
    ),
    "detached": (("attach", "look"), ("ask new", "look")),
}

_FAILURES: Final[Scenes] = (
    *((f"convict {reason}", "look") for reason in GATES),
    ("allow three", "bad answers", "look"),
    ("abort", "look"),
    ("crash candidate", "work"),
    ("work", "convict meanwhile", "look"),
    ("work", "convict during the look", "look"),
)
_EDITS: Final[Scenes] = (
    ("ask new", "look", "work"),
    ("ask stable", "look", "work"),
    ("edit strategy", "work"),
    ("edit replicas", "work"),
    ("edit pool", "look"),
    ("edit meanwhile", "work"),
    ("edit budget", "edit static answer", "work"),
)
_ONWARD: Final[Scenes] = (
    ("work",),
    ("heal", "work", "pass the hold", "work on"),
    ("promote", "heal", "work on"),
    ("end", "work"),
    ("look and fail", "work"),
    ("look and fail", "look and fail", "work"),
)

# What leads on, by phase; None: there is no object, or nobody has looked at it.
SCENES: Final[dict[Phase | None, Scenes]] = {
    None: ((*_REPAIR, "work", "create", "work"), ("work",)),
    Phase.PENDING: (
        ("heal", "attach", "work on"),
        ("live", "look", "live", "edit meanwhile", "look"),
        *_DOOMS,
        ("detach", "look"),
    ),
    Phase.FAILED: (
        ("delete", "look", *_REPAIR, "work", "create", "work on"),
        ("ask new", *_REPAIR, "look", "work on"),
        (*_REPAIR, "look"),
    ),
    Phase.SERVING: (
        ("heal", "ask new", "work on", "work"),
        ("heal", "edit strategy", "ask new", "work on", "work"),
        ("ask rejected", "look"),
        ("restart", "work"),
        ("undo", "work"),
        ("detach", "look", "look"),
        ("delete", "look"),
    ),
    Phase.ROLLING_OUT: (*_FAILURES, *_EDITS, *_ONWARD, *_ONWARD),
    Phase.PAUSED: (*_FAILURES, *_EDITS, *_ONWARD, ("resume", "heal", "work")),
    Phase.ABORTING: (
        ("heal", "attach", "work"),
        ("ask new", "heal", "attach", "work"),
        ("pass the confirmation", "look", "look"),
        ("detach", "look", "look"),
    ),
    Phase.ROLLED_BACK: (
        ("retry", "heal", "work on"),
        ("ask new", "heal", "work on", "work"),
        ("ask stable", "look"),
    ),
    Phase.STALLED: (
        (*_REPAIR, "work on"),
        (*_REPAIR, "ask stable", "look"),
        (*_REPAIR, "ask rejected", "look"),
    ),
}
