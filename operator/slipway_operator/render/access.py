"""From the Secret of API keys to what a model's pod has of it: a volume, a mount, variables.

Knows nothing of what is in the Secret: the server reads it, and again when it changes.
"""

from dataclasses import dataclass
from typing import Any, Final

from slipway_api import names

Object = dict[str, Any]

MODE: Final = 0o440  # the server has the volume's group, others need not read


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Parts of a pod; all of them empty where nobody asks for keys."""

    volumes: tuple[Object, ...] = ()
    mounts: tuple[Object, ...] = ()
    environment: tuple[Object, ...] = ()


def key_file(secret: str | None) -> KeyFile:
    """Make the parts. Without the Secret or its key the kubelet starts no container."""
    if secret is None:
        return KeyFile()
    source = {
        "secretName": secret,
        "items": [{"key": names.AUTH_KEYS_KEY, "path": names.AUTH_KEYS_KEY}],
        "defaultMode": MODE,
        "optional": False,
    }
    # The folder and not the file: what is mounted by subPath never follows its Secret.
    mount = {
        "name": names.AUTH_KEYS_VOLUME,
        "mountPath": names.AUTH_KEYS_DIR,
        "readOnly": True,
    }
    values = (f"{names.AUTH_KEYS_DIR}/{names.AUTH_KEYS_KEY}", names.AUTH_OPEN)
    return KeyFile(
        volumes=({"name": names.AUTH_KEYS_VOLUME, "secret": source},),
        mounts=(mount,),
        environment=tuple(
            {"name": names.SERVER_ENV_PREFIX + name, "value": value}
            for name, value in zip(names.SERVER_KEYS_ENV, values, strict=True)
        ),
    )
