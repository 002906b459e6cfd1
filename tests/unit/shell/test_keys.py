"""The Secret of the certificates: made, followed, and turned over by whoever is first."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from slipway_operator.adapters import certificates
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import Conflict
from slipway_operator.shell.keys import Keys

LIFE = timedelta(days=30)
Object = dict[str, Any]


@dataclass
class Secrets:
    """Keeps one Secret as the API server would; `overtaken_by` is written just before us."""

    kept: Object | None = None
    overtaken_by: Object | None = None
    written: list[Object] = field(default_factory=list)

    async def find(self, _: object, name: str, *, namespace: str) -> Object | None:
        return self.kept

    async def create(self, _: object, body: Object) -> None:
        self._write(body, version=None)

    async def replace(self, _: object, body: Object) -> None:
        self._write(body, version=body["metadata"]["resourceVersion"])

    def _write(self, body: Object, *, version: str | None) -> None:
        if self.overtaken_by is not None:
            self.kept, self.overtaken_by = self.overtaken_by, None
        if version != (self.kept["metadata"]["resourceVersion"] if self.kept else None):
            raise Conflict(409, reason="Conflict", message="it has changed")
        self.written.append(body)
        self.kept = secret_of(body["data"], version=str(len(self.written)))


def secret_of(data: dict[str, str], *, version: str) -> Object:
    return {"metadata": {"resourceVersion": version}, "data": data}


def made_ago(age: timedelta) -> Object:
    bundle = certificates.make(datetime.now(UTC) - age, life=LIFE)
    data = {key: base64.b64encode(value).decode() for key, value in bundle.items()}
    return secret_of(data, version=f"{age.days} days")


async def read(secrets: Secrets) -> Keys:
    keys = Keys(cast(KubeClient, secrets), namespace="slipway-system", life=LIFE)
    await keys.read()
    return keys


async def test_the_first_operator_makes_the_certificates() -> None:
    secrets = Secrets()

    await read(secrets)

    (body,) = secrets.written
    assert {"ca.crt", "operator.crt", "router.key"} < set(body["data"])


async def test_certificates_that_are_good_for_long_are_left_alone() -> None:
    secrets = Secrets(made_ago(timedelta(days=19)))

    (await read(secrets)).credentials()

    assert secrets.written == []


async def test_certificates_turn_over_when_two_thirds_are_over() -> None:
    before = made_ago(timedelta(days=21))
    secrets = Secrets(before)

    await read(secrets)

    (body,) = secrets.written
    assert "21 days" == body["metadata"]["resourceVersion"]
    assert before["data"]["operator.crt"] != body["data"]["operator.crt"]


async def test_an_operator_that_was_overtaken_takes_what_the_other_wrote() -> None:
    theirs = made_ago(timedelta(days=1))

    for before in (None, made_ago(timedelta(days=21))):
        secrets = Secrets(before, overtaken_by=theirs)
        await read(secrets)

        assert secrets.written == []
        assert theirs == secrets.kept


async def test_a_secret_that_cannot_be_read_is_replaced() -> None:
    secrets = Secrets(secret_of({"ca.crt": "no base64", "other": "eA=="}, version="1"))

    await read(secrets)

    (body,) = secrets.written
    assert "other" not in body["data"]
