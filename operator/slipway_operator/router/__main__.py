"""`python -m slipway_operator.router`: the first process of a router pod."""

import logging
import os
import sys

from slipway_operator.router import settings, supervisor


def main() -> int:
    """Read the environment and run one router."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        return supervisor.run(settings.read(os.environ), os.environ)
    except settings.SettingsError as error:
        print(f"router: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
