"""Our client against a real API server: verbs, errors, fences."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import orjson
import pytest

from slipway_operator.adapters.kube import KubeClient, WatchEvent
from slipway_operator.adapters.kube_errors import (
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unreachable,
)
from slipway_operator.adapters.kube_http import Object, Request
from slipway_operator.adapters.kube_resources import (
    DEPLOYMENTS,
    MODEL_DEPLOYMENTS,
    NAMESPACES,
    SECRETS,
    SERVICES,
)
from slipway_operator.adapters.kubeconfig import ClusterAccess
from tests.contract.kube.fault_proxy import FaultProxy

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds")]

NAMESPACE = "kube-client"
WRONG_UID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
async def namespace(kube: KubeClient) -> None:
    await kube.apply(NAMESPACES, {"metadata": {"name": NAMESPACE}})


def model(name: str, version: str = "1") -> Object:
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"model": {"name": "m", "version": version, "uri": "s3://models/m"}},
    }


def service(name: str, port: int = 80) -> Object:
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"series": name[0]}},
        "spec": {"ports": [{"name": "http", "port": port}]},
    }


async def drain(events: AsyncIterator[WatchEvent]) -> None:
    async for _ in events:
        pass


def metadata(body: Object, *keys: str) -> Object:
    given = {key: body["metadata"][key] for key in keys}
    return {"name": body["metadata"]["name"], "namespace": NAMESPACE, **given}


async def test_an_absent_object_is_none_to_those_who_expect_it(kube: KubeClient) -> None:
    assert await kube.find(SERVICES, "absent", namespace=NAMESPACE) is None
    with pytest.raises(NotFound, match="GET /api/v1/namespaces/kube-client/services/absent"):
        await kube.get(SERVICES, "absent", namespace=NAMESPACE)


async def test_apply_creates_and_a_repeated_apply_changes_nothing(kube: KubeClient) -> None:
    first = await kube.apply(SERVICES, service("repeated"))
    second = await kube.apply(SERVICES, service("repeated"))

    assert first["kind"] == "Service"
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_fields_of_others_are_kept_or_named_in_a_conflict(kube: KubeClient) -> None:
    def labelled(value: str) -> Object:
        body = service("shared")
        body["metadata"]["labels"]["colour"] = value
        return body

    await kube.apply(SERVICES, labelled("red"), manager="other")

    with pytest.raises(Conflict, match=r'conflict with "other": \.metadata\.labels\.colour'):
        await kube.apply(SERVICES, labelled("blue"), force=False)
    kept = await kube.apply(SERVICES, service("shared"), force=False)
    forced = await kube.apply(SERVICES, labelled("blue"))

    assert kept["metadata"]["labels"]["colour"] == "red"
    assert forced["metadata"]["labels"]["colour"] == "blue"


async def test_create_refuses_a_name_that_is_taken(kube: KubeClient) -> None:
    await kube.create(SERVICES, service("taken"))

    with pytest.raises(Conflict) as refusal:
        await kube.create(SERVICES, service("taken"))

    assert refusal.value.reason == "AlreadyExists"


async def test_patch_and_replace_write_and_the_version_is_a_fence(kube: KubeClient) -> None:
    created = await kube.create(SERVICES, service("patched"))

    patched = await kube.patch(
        SERVICES, "patched", namespace=NAMESPACE, body={"metadata": {"labels": {"a": "b"}}}
    )

    assert patched["metadata"]["labels"]["a"] == "b"
    with pytest.raises(Conflict):
        await kube.replace(SERVICES, created)
    assert (await kube.replace(SERVICES, patched))["metadata"]["name"] == "patched"


async def test_a_list_is_read_in_pages_of_one_version(kube: KubeClient) -> None:
    for index in range(7):
        await kube.apply(SERVICES, service(f"page-{index}"))

    listing = await kube.list(SERVICES, namespace=NAMESPACE, label_selector="series=p", page_size=3)

    names = [item["metadata"]["name"] for item in listing.items]
    assert [name for name in names if name.startswith("page-")] == [
        f"page-{index}" for index in range(7)
    ]
    assert int(listing.resource_version) > 0


async def test_a_list_of_metadata_has_no_specs(kube: KubeClient) -> None:
    await kube.apply(SERVICES, service("light"))

    listing = await kube.list(
        SERVICES, label_selector="series=l", field_selector="", metadata_only=True
    )

    assert all("spec" not in item for item in listing.items)
    assert "light" in [item["metadata"]["name"] for item in listing.items]


async def test_a_watch_tells_every_change_after_its_version(kube: KubeClient) -> None:
    start = (await kube.list(SERVICES, namespace=NAMESPACE)).resource_version
    await kube.apply(SERVICES, service("watched"))
    await kube.apply(SERVICES, service("watched", 81))
    await kube.delete(SERVICES, "watched", namespace=NAMESPACE)

    seen: list[str] = []
    async with aclosing(
        kube.watch(
            SERVICES,
            resource_version=start,
            namespace=NAMESPACE,
            label_selector="series=w",
            timeout_s=2,
        )
    ) as events:
        async for event in events:
            seen.append(event.type)

    assert [kind for kind in seen if kind != "BOOKMARK"] == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_watch_from_a_version_too_old_says_so(kube: KubeClient) -> None:
    with pytest.raises(Gone):
        await drain(kube.watch(MODEL_DEPLOYMENTS, resource_version="1", timeout_s=2))


async def test_a_uid_in_an_apply_does_not_resurrect(kube: KubeClient) -> None:
    dead = await kube.apply(SERVICES, service("dead"))
    await kube.delete(SERVICES, "dead", namespace=NAMESPACE)
    body = service("dead") | {"metadata": metadata(dead, "uid")}

    with pytest.raises(Conflict, match="uid mismatch"):
        await kube.apply(SERVICES, body)

    assert await kube.find(SERVICES, "dead", namespace=NAMESPACE) is None


async def test_a_uid_in_an_apply_spares_another_object_of_the_name(kube: KubeClient) -> None:
    await kube.apply(SERVICES, service("other"))
    body = service("other", 99)
    body["metadata"]["uid"] = WRONG_UID

    with pytest.raises((Conflict, Invalid), match="uid"):
        await kube.apply(SERVICES, body)

    kept = await kube.get(SERVICES, "other", namespace=NAMESPACE)
    assert kept["spec"]["ports"][0]["port"] == 80


async def test_a_version_alone_does_not_stop_an_apply_from_creating(kube: KubeClient) -> None:
    body = service("revenant")
    body["metadata"]["resourceVersion"] = "1"

    created = await kube.apply(SERVICES, body)

    assert created["metadata"]["name"] == "revenant"


async def test_a_stale_status_is_refused(kube: KubeClient) -> None:
    created = await kube.create(MODEL_DEPLOYMENTS, model("fenced"))
    status = {"metadata": metadata(created, "resourceVersion"), "status": {"phase": "Pending"}}
    written = await kube.apply_status(MODEL_DEPLOYMENTS, status)

    with pytest.raises(Conflict):
        await kube.apply_status(MODEL_DEPLOYMENTS, status | {"status": {"phase": "Failed"}})

    assert written["status"]["phase"] == "Pending"
    assert written["metadata"]["generation"] == created["metadata"]["generation"]


async def test_a_status_never_creates_and_an_unfenced_one_is_not_sent(kube: KubeClient) -> None:
    body = model("nobody") | {"status": {"phase": "Pending"}}

    with pytest.raises(AssertionError, match="resourceVersion"):
        await kube.apply_status(MODEL_DEPLOYMENTS, body)
    body["metadata"]["resourceVersion"] = "1"
    with pytest.raises(NotFound):
        await kube.apply_status(MODEL_DEPLOYMENTS, body)


async def test_status_and_spec_have_managers_of_their_own(kube: KubeClient) -> None:
    created = await kube.apply(MODEL_DEPLOYMENTS, model("managed"), manager="user")
    status = {"metadata": metadata(created, "resourceVersion"), "status": {"phase": "Pending"}}

    written = await kube.apply_status(MODEL_DEPLOYMENTS, status)

    managers = {
        (entry["manager"], entry.get("subresource", ""))
        for entry in written["metadata"]["managedFields"]
    }
    assert managers == {("user", ""), ("slipway-status", "status")}


async def test_delete_spares_an_object_that_is_not_the_one_meant(kube: KubeClient) -> None:
    created = await kube.apply(SERVICES, service("spared"))

    with pytest.raises(Conflict):
        await kube.delete(SERVICES, "spared", namespace=NAMESPACE, uid=WRONG_UID)
    with pytest.raises(Conflict):
        await kube.delete(SERVICES, "spared", namespace=NAMESPACE, resource_version="1")
    uid = created["metadata"]["uid"]

    assert await kube.delete(SERVICES, "spared", namespace=NAMESPACE, uid=uid) is True
    assert await kube.delete(SERVICES, "spared", namespace=NAMESPACE, uid=uid) is False


async def test_an_invalid_object_says_which_field_is_wrong(kube: KubeClient) -> None:
    with pytest.raises(Invalid, match=r"spec\.ports\[0\]\.port"):
        await kube.apply(SERVICES, service("wrong", 70000))


@pytest.fixture
async def account(kube: KubeClient, tmp_path: Path) -> Path:
    """Give a file with the token of an account that may do nothing."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    body = {"metadata": {"name": "nobody"}}
    with suppress(Conflict):
        await kube.raw(Request("POST", path, data=orjson.dumps(body)))
    spec = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await kube.raw(Request("POST", f"{path}/nobody/token", data=orjson.dumps(spec)))
    token_path = tmp_path / "token"
    token_path.write_text(orjson.loads(answer.body)["status"]["token"])
    return token_path


async def test_what_the_role_does_not_allow_is_forbidden(
    kube_access: ClusterAccess, account: Path
) -> None:
    access = ClusterAccess(server=kube_access.server, ca=kube_access.ca, token_path=account)
    async with KubeClient(access) as client:
        with pytest.raises(Forbidden, match="cannot list resource"):
            await client.list(SECRETS)


async def test_the_token_file_is_read_again_for_each_request(
    kube_access: ClusterAccess, account: Path
) -> None:
    good = account.read_text()
    access = ClusterAccess(server=kube_access.server, ca=kube_access.ca, token_path=account)
    async with KubeClient(access) as client:
        account.write_text("wrong")
        with pytest.raises(Unreachable) as refusal:
            await client.list(DEPLOYMENTS)
        assert refusal.value.status == 401

        account.write_text(good)
        with pytest.raises(Forbidden):
            await client.list(DEPLOYMENTS)

        account.unlink()
        with pytest.raises(Unreachable, match="token"):
            await client.list(DEPLOYMENTS)


async def test_nobody_listening_is_unreachable_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        access = ClusterAccess(server=f"http://127.0.0.1:{closed.getsockname()[1]}")
        async with KubeClient(access) as client:
            with pytest.raises(Unreachable, match="GET /api/v1/namespaces/a/services/b"):
                await client.get(SERVICES, "b", namespace="a")


async def test_a_server_that_never_answers_is_unreachable_in_time(
    kube_access: ClusterAccess,
) -> None:
    async with FaultProxy.run(kube_access) as proxy, KubeClient(proxy.access) as client:
        proxy.is_frozen = True
        request = Request("GET", "/version", timeout_s=0.3)

        with pytest.raises(Unreachable, match="Timeout"):
            await asyncio.wait_for(client.raw(request), 5)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, Unreachable),
        (503, Unreachable),
        (429, Unreachable),
        (401, Unreachable),
        (410, Gone),
        (404, NotFound),
        (403, Forbidden),
        (422, Invalid),
        (418, ApiError),
    ],
)
async def test_each_refusal_has_its_class(
    kube_access: ClusterAccess, status: int, kind: type[ApiError]
) -> None:
    async with FaultProxy.run(kube_access) as proxy, KubeClient(proxy.access) as client:
        proxy.status = status

        with pytest.raises(ApiError, match="injected") as refusal:
            await client.list(SERVICES)

    assert type(refusal.value) is kind
    assert refusal.value.status == status


async def test_a_broken_watch_is_unreachable(kube_access: ClusterAccess) -> None:
    async with FaultProxy.run(kube_access) as proxy, KubeClient(proxy.access) as client:
        start = (await client.list(SERVICES)).resource_version
        await client.apply(SERVICES, service("cut"))
        events = client.watch(SERVICES, resource_version=start)
        assert (await anext(events)).type == "ADDED"

        proxy.cut()

        with pytest.raises(Unreachable):
            await drain(events)
