"""From the Secret of API keys to what a model's pod has of it: a volume, a mount, variables.

Knows nothing of what is in the Secret: the server reads it, and again when it changes.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from slipway_api import names
from slipway_api.workload import Runtime

Object = dict[str, Any]

_JWKS: Final = re.compile(rf"{names.AUTH_KEYS_DIR}/([-._A-Za-z0-9]+)")  # as keys of Secrets are
MODE: Final = 0o440  # the server has the volume's group, others need not read


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Parts of a pod; all of them empty where nobody asks for keys."""

    volumes: tuple[Object, ...] = ()
    mounts: tuple[Object, ...] = ()
    environment: tuple[Object, ...] = ()


def key_file(runtime: Runtime) -> KeyFile:
    """Make the parts. Without the Secret or its keys the kubelet starts no container.

    A key set of tokens is mounted beside the keys where the server is told to look for it there.
    """
    if runtime.auth_keys_secret is None:
        return KeyFile()
    told = (e.value for e in runtime.env if e.name == names.SERVER_JWKS_VARIABLE)
    sets = [found[1] for value in told if (found := _JWKS.fullmatch(value))]
    files = dict.fromkeys([names.AUTH_KEYS_KEY, *sets])
    source = {
        "secretName": runtime.auth_keys_secret,
        "items": [{"key": file, "path": file} for file in files],
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
