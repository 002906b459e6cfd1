"""A revision's objects as golden files; refresh with SLIPWAY_UPDATE_GOLDEN=1, review the diff."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from slipway_api import names
from slipway_api.compute_pool import ComputePoolSpec
from slipway_api.model_deployment import ModelDeploymentSpec
from slipway_operator.engine import plan, podevents
from slipway_operator.render import workload
from slipway_operator.render.workload import Owner, ServerImage
from tests import builders

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "workload"
OWNER: Final = Owner(builders.NAMESPACE, builders.NAME, builders.UID)
SERVER: Final = ServerImage("example.com/slipway/server:0.1.0", "Always")
REVISION: Final = "churn-0a1b2c3d4e"
DIGEST: Final = "sha256:" + "ab" * 32

FULL: Final = builders.spec(
    model={
        "uri": "pvc://models/churn/1.3.0",
        "version": "1.3.0",
        "digest": DIGEST,
        "credentialsSecret": "churn-store",
        "expectations": {"warmUp": [{"x": [8, 30]}]},
    },
    runtime={
        "image": "example.com/churn/server:7",
        "env": [{"name": "OMP_NUM_THREADS", "value": "2"}, {"name": "EMPTY"}],
    },
    compute={
        "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi"}},
        "serviceAccountName": "churn",
        "imagePullSecrets": [{"name": "registry"}],
        "podLabels": {"team": "growth"},
        "podAnnotations": {"example.com/owner": "growth"},
    },
)
KEYED: Final = builders.spec(runtime={"authKeysSecret": "churn-keys"})
POOL: Final = ComputePoolSpec.model_validate(
    {
        "nodeSelector": {"example.com/pool": "cpu"},
        "tolerations": [
            {"key": "dedicated", "value": "models", "effect": "NoSchedule"},
            {"operator": "Exists"},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": 2}},
    }
)


def _template(
    wanted: ModelDeploymentSpec | None = None, pool: ComputePoolSpec | None = None
) -> dict[str, Any]:
    md = builders.deployment(wanted or builders.spec())
    return workload.pod_template(md, REVISION, pool=pool or ComputePoolSpec(), server=SERVER)


def _container(template: dict[str, Any]) -> dict[str, Any]:
    (container,) = template["spec"]["containers"]
    assert isinstance(container, dict)
    return container


KEPT: Final = workload.Snapshot(
    workload.spec_sections(FULL), identity=REVISION, template={"kept": "whole"}
)

CASES: Final[dict[str, Callable[[], Any]]] = {
    "pod-plain": _template,
    "pod-full": lambda: _template(FULL, POOL),
    "pod-with-keys": lambda: _template(KEYED),
    "revision": lambda: [
        workload.controller_revision(OWNER, REVISION, number=3, kept=KEPT),
        workload.deployment(OWNER, REVISION, template={"kept": "whole"}, replicas=2),
        workload.service(OWNER, REVISION),
        workload.disruption_budget(OWNER, REVISION),
    ],
    "address": lambda: [
        workload.client_service(OWNER, builders.PORT),
        workload.endpoint_slice(OWNER, builders.PORT, ("10.1.0.1", "10.1.0.2")),
    ],
    "address-without-routers": lambda: [
        workload.service_of_pods(OWNER, REVISION, name=OWNER.name, template=_template(wanted))
        for wanted in (builders.spec(), FULL)
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_objects_are_rendered_as_recorded(case: str) -> None:
    text = json.dumps(CASES[case](), indent=1, sort_keys=True) + "\n"
    file = GOLDEN / f"{case}.json"
    if os.environ.get("SLIPWAY_UPDATE_GOLDEN"):
        file.write_text(text)

    assert file.read_text() == text


@pytest.mark.parametrize("wanted", [builders.spec(), FULL, KEYED], ids=["plain", "full", "keyed"])
def test_pods_pass_the_restricted_pod_security_standard(wanted: ModelDeploymentSpec) -> None:
    """Field by field of kubernetes.io/docs/concepts/security/pod-security-standards."""
    pod = _template(wanted, POOL)["spec"]

    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert "RuntimeDefault" == pod["securityContext"]["seccompProfile"]["type"]
    allowed = {"name", "configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim"}
    assert all(volume.keys() <= allowed for volume in pod["volumes"])
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert ["ALL"] == security["capabilities"]["drop"]
        assert not {"add", "privileged", "procMount"} & {*security, *security["capabilities"]}
        assert not any("hostPort" in port for port in container["ports"])


def test_the_server_can_write_only_where_a_volume_is() -> None:
    container = _container(_template())

    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {names.MODEL_DIR, "/tmp"} == {m["mountPath"] for m in container["volumeMounts"]}


def test_a_slow_start_ends_by_the_word_of_the_engine_and_not_of_the_kubelet() -> None:
    """On a starved machine, liveness killed servers before they listened."""
    container = _container(_template())

    probe = container["startupProbe"]
    limit_s = probe["periodSeconds"] * probe["failureThreshold"]
    assert limit_s > podevents.START_DEADLINE_S
    assert probe["httpGet"] == container["livenessProbe"]["httpGet"]
    assert "initialDelaySeconds" not in container["livenessProbe"]


def test_pods_get_no_token_unless_they_have_an_account_of_their_own() -> None:
    assert _template()["spec"]["automountServiceAccountToken"] is False
    assert _template(FULL)["spec"]["automountServiceAccountToken"] is True


def test_labels_that_selectors_need_win_over_the_user() -> None:
    """The contract refuses such labels; an object stored before it did must not break selectors."""
    spec = builders.spec()
    stolen = spec.compute.model_copy(
        update={"pod_labels": {names.LABEL_REVISION: "another", "team": "growth"}}
    )

    labels = _template(spec.model_copy(update={"compute": stolen}))["metadata"]["labels"]

    assert REVISION == labels[names.LABEL_REVISION]
    assert builders.NAME == labels[names.LABEL_DEPLOYMENT]
    assert "growth" == labels["team"]


def test_selectors_find_the_pods_of_their_revision_and_no_others() -> None:
    labels = _template()["metadata"]["labels"]
    selector = {names.LABEL_DEPLOYMENT: builders.NAME, names.LABEL_REVISION: REVISION}
    made = workload.deployment(OWNER, REVISION, template={}, replicas=1)

    assert selector == made["spec"]["selector"]["matchLabels"]
    assert selector == workload.service(OWNER, REVISION)["spec"]["selector"]
    assert selector.items() <= labels.items()
    assert not {names.LABEL_NAME, names.LABEL_COMPONENT} & selector.keys(), "they may change"


def test_variables_of_the_user_come_first_and_ours_last() -> None:
    """A later variable may quote an earlier one as $(NAME), and the last of a name counts."""
    environment = _container(_template(FULL))["env"]

    assert ["OMP_NUM_THREADS", "EMPTY"] == [entry["name"] for entry in environment[:2]]
    assert [names.SERVER_ENV_PREFIX + name for name in names.SERVER_ENV] == [
        entry["name"] for entry in environment[2:]
    ]
    assert all(isinstance(entry["value"], str) for entry in environment)


def test_the_server_learns_what_to_load_and_who_it_is() -> None:
    values = {entry["name"]: entry["value"] for entry in _container(_template())["env"]}
    ours = {name.removeprefix(names.SERVER_ENV_PREFIX): value for name, value in values.items()}

    assert {
        "MODEL_NAME": "churn",
        "MODEL_VERSION": "1",
        "MODEL_URI": "s3://models/churn/1",
        "MODEL_DIGEST": builders.DIGEST,
        "NAMESPACE": "ml",
        "DEPLOYMENT": "churn",
        "REVISION": REVISION,
    } == ours


def test_a_digest_that_nobody_gave_is_read_from_what_the_first_pod_told() -> None:
    open_ = _template(builders.spec(model={"digest": None}))
    (found,) = (e for e in _container(open_)["env"] if e["name"] == workload.DIGEST_VARIABLE)
    told = workload.digest_map(OWNER, REVISION, DIGEST)

    source = {"name": REVISION, "key": "digest", "optional": True}
    assert found == {"name": workload.DIGEST_VARIABLE, "valueFrom": {"configMapKeyRef": source}}
    assert (told["metadata"]["name"], told["data"]) == (REVISION, {"digest": DIGEST})


def test_a_volume_is_mounted_read_only_and_named_as_the_container_sees_it() -> None:
    template = _template(FULL)
    values = {entry["name"]: entry["value"] for entry in _container(template)["env"]}
    (claim,) = (v for v in template["spec"]["volumes"] if "persistentVolumeClaim" in v)
    (mount,) = (m for m in _container(template)["volumeMounts"] if m["name"] == claim["name"])

    assert {"claimName": "models", "readOnly": True} == claim["persistentVolumeClaim"]
    assert mount["readOnly"] is True
    assert f"file://{mount['mountPath']}/churn/1.3.0" == values["SLIPWAY_SERVER_MODEL_URI"]


def test_keys_are_a_folder_that_follows_its_secret_and_that_must_be_there() -> None:
    container, plain = _container(_template(KEYED)), _container(_template())
    (secret,) = (v["secret"] for v in _template(KEYED)["spec"]["volumes"] if "secret" in v)
    (mount,) = (m for m in container["volumeMounts"] if m not in plain["volumeMounts"])
    (file, opened) = container["env"][len(plain["env"]) :]

    assert (secret["secretName"], secret["optional"]) == ("churn-keys", False)
    assert mount["readOnly"] is True
    assert "subPath" not in mount, "such a mount never changes"
    (item,) = secret["items"]
    expected = f"{mount['mountPath']}/{item['path']}"
    assert file == {"name": "SLIPWAY_SERVER_AUTH_KEYS_FILE", "value": expected}
    assert opened == {"name": "SLIPWAY_SERVER_AUTH_OPEN", "value": "metadata,metrics"}


@pytest.mark.parametrize(
    ("told", "mounted"),
    [
        ("/etc/slipway/auth/jwks.json", ["keys", "jwks.json"]),
        ("/etc/slipway/auth/keys", ["keys"]),
        ("/etc/slipway/auth/../jwks.json", ["keys"]),
        ("/opt/of-my-image/jwks.json", ["keys"]),
    ],
)
def test_a_key_set_of_tokens_is_mounted_where_the_server_is_told_to_look(
    told: str, mounted: list[str]
) -> None:
    variable = {"name": "SLIPWAY_SERVER_AUTH_JWKS_FILE", "value": told}
    runtime = {"authKeysSecret": "churn-keys", "env": [variable]}

    template = _template(builders.spec(runtime=runtime))

    (secret,) = (v["secret"] for v in template["spec"]["volumes"] if "secret" in v)
    assert [(item["key"], item["path"]) for item in secret["items"]] == [(f, f) for f in mounted]
    assert variable in _container(template)["env"]


@pytest.mark.parametrize(
    ("of_pool", "of_user", "expected"),
    [
        ({}, {}, None),
        ({"requests": {"cpu": 1}}, {}, {"requests": {"cpu": 1}}),
        ({}, {"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1Gi"}}),
        (
            {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": 2}},
            {"requests": {"cpu": "500m"}},
            {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": 2}},
        ),
    ],
)
def test_resources_are_merged_by_name_over_those_of_the_pool(
    of_pool: dict[str, Any], of_user: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    pool = ComputePoolSpec.model_validate({"resources": of_pool})
    spec = builders.spec(compute={"resources": of_user})

    assert expected == _container(_template(spec, pool)).get("resources")


def test_tolerations_are_written_as_kubernetes_spells_them() -> None:
    assert [
        {"key": "dedicated", "value": "models", "effect": "NoSchedule"},
        {"operator": "Exists"},
    ] == _template(pool=POOL)["spec"]["tolerations"]


def test_the_image_of_the_chart_is_used_unless_the_user_names_one() -> None:
    built_in, own = _container(_template()), _container(_template(FULL))

    assert (SERVER.reference, "Always") == (built_in["image"], built_in["imagePullPolicy"])
    assert ("example.com/churn/server:7", "IfNotPresent") == (own["image"], own["imagePullPolicy"])


def test_what_does_not_change_pods_does_not_change_their_template() -> None:
    same = builders.spec(replicas=9, steps=((50, "1s"),), traffic={"timeout": "5s"})

    assert _template() == _template(same)


def test_everything_goes_with_its_deployment() -> None:
    made = [
        *CASES["revision"](),
        *CASES["address"](),
    ]

    for item in made:
        (owner,) = item["metadata"]["ownerReferences"]
        assert (builders.UID, True) == (owner["uid"], owner["controller"])
        assert builders.NAMESPACE == item["metadata"]["namespace"]


def test_a_slice_says_which_addresses_it_holds() -> None:
    four = workload.endpoint_slice(OWNER, builders.PORT, ("10.1.0.1",))
    six = workload.endpoint_slice(OWNER, builders.PORT, ("fd00::1",))

    assert ("IPv4", "IPv6") == (four["addressType"], six["addressType"])


def test_names_fit_into_a_service_however_long_the_deployment_is_called() -> None:
    name = "a" * names.NAME_LENGTH_MAX
    spec = builders.spec()

    assert len(plan.revision_name(name, spec)) <= 63


@pytest.mark.parametrize("wanted", [builders.spec(), FULL, KEYED], ids=["plain", "full", "keyed"])
def test_what_is_kept_of_a_specification_asks_for_the_same_revision_again(
    wanted: ModelDeploymentSpec,
) -> None:
    sections = json.loads(json.dumps(workload.spec_sections(wanted)))

    restored = ModelDeploymentSpec.model_validate(sections)

    assert plan.revision_name("churn", wanted) == plan.revision_name("churn", restored)
    assert "replicas" not in sections["compute"]


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        ("model", [{"expectations": {"warmUp": [{"x": [size]}]}} for size in (1, 2)]),
        ("runtime", [{"authKeysSecret": name} for name in ("churn-keys", "others")]),
    ],
)
def test_a_new_field_makes_a_revision_and_its_absence_leaves_names_as_they_were(
    section: str, wanted: list[dict[str, Any]]
) -> None:
    """Another name of what serves today would roll out every model of every cluster anew."""
    specs = [builders.spec(), *(builders.spec(**{section: fields}) for fields in wanted)]

    found = [plan.revision_name("churn", spec) for spec in specs]

    assert found[0] == "churn-cd907e679b"
    assert len(set(found)) == 3
