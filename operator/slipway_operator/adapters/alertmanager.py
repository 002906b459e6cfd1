"""What Alertmanager says when it calls: read with care, because anybody may call.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config (version 4). Knows neither
gates nor rollouts; nothing here is believed beyond "look now".
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

ALERT_COUNT_MAX: Final = 10_000
EXPECTED: Final = "send what Alertmanager's webhook sends"


class WrongCallError(ValueError):
    """A call that is none of Alertmanager's; the message says what was expected."""


def named(body: bytes) -> tuple[tuple[str, Mapping[str, str]], ...]:
    """List name and labels of the alerts that a call says fire; raises `WrongCallError`."""
    try:
        call = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise WrongCallError(f"the body is no JSON: {EXPECTED}") from None
    alerts = call.get("alerts") if isinstance(call, dict) else None
    if not isinstance(alerts, list) or len(alerts) > ALERT_COUNT_MAX:
        raise WrongCallError(f'the body has no list "alerts": {EXPECTED}')
    return tuple(_labels(alert) for alert in alerts if _is_firing(alert))


def _is_firing(alert: Any) -> bool:
    if not isinstance(alert, dict) or not isinstance(alert.get("labels"), dict):
        raise WrongCallError(f"an alert has no labels: {EXPECTED}")
    return alert.get("status") == "firing"


def _labels(alert: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
    labels = {str(key): str(value) for key, value in alert["labels"].items()}
    return labels.get("alertname", ""), labels
