"""`python -m slipway_operator.router`: the first process of a router pod."""

import os
import sys

from slipway_api import logs
from slipway_operator.router import settings, supervisor


def main() -> int:
    """Read the environment and run one router."""
    try:
        read = settings.read(os.environ)
    except settings.SettingsError as error:
        print(f"router: {error}", file=sys.stderr)
        return 2
    logs.begin(read.log_format, level=read.log_level)
    return supervisor.run(read, os.environ)


if __name__ == "__main__":
    sys.exit(main())
