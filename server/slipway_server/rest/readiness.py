"""What probes are told, of the server and of a model."""

from typing import Final

import orjson

LIVE: Final = orjson.dumps({"live": True})
_WHY: Final = "not ready: the model is being loaded, or the server is about to end"


def answer(is_ready: bool, **more: str) -> tuple[int, bytes]:
    """A status and a body."""
    if is_ready:
        return 200, orjson.dumps({**more, "ready": True})
    return 503, orjson.dumps({**more, "ready": False, "error": _WHY})
