"""The operator process: settings, logging, and the parts wired together."""

import asyncio
import logging
import os
import sys

from slipway_api import logs
from slipway_operator.adapters import kubeconfig
from slipway_operator.shell import settings as shell_settings
from slipway_operator.shell.app import Operator


def main() -> int:
    """Run the operator; 78 (EX_CONFIG) if it cannot even begin."""
    try:
        settings = shell_settings.read(os.environ)
        access = kubeconfig.load(os.environ)
    except (shell_settings.SettingsError, kubeconfig.KubeconfigError) as error:
        print(f"slipway operator: {error}", file=sys.stderr)
        return 78
    logs.begin(settings.log_format, level=settings.log_level)
    logging.getLogger("kopf").setLevel(logging.CRITICAL)  # its supervisor says why it ended
    asyncio.run(Operator(settings, access).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
