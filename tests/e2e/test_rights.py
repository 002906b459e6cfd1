"""The operator's rights against the API server's own record of a whole session of tests.

Runs after all others (see conftest). What was asked for is only known to be all of it when they
ran too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
import pytest

from bench.scene import SYSTEM_NAMESPACE, Object, Scene

pytestmark = pytest.mark.e2e

CREATED: Final = 201
ROLE: Final = "slipway-operator"
USER: Final = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{ROLE}"
# Tests without which not everything happened that an operator does.
NEEDED: Final = {"test_commands", "test_digest", "test_release", "test_verdicts"}
# Rights that these tests need not use, and what they are for. Group, resource, verb.
OLD_REVISION: Final = "a revision goes when it is not among the ten that are kept"
RARE: Final = {
    ("", "secrets", "update"): "certificates turn over after twenty days, see tests/faults",
    ("slipway.dev", "modeldeployments/finalizers", "update"): (
        "asked for by clusters that check owner references which block deletion"
    ),
    ("apps", "deployments", "delete"): OLD_REVISION,
    ("apps", "controllerrevisions", "delete"): OLD_REVISION,
    ("", "services", "delete"): OLD_REVISION,
    ("", "configmaps", "delete"): OLD_REVISION,
    ("policy", "poddisruptionbudgets", "delete"): OLD_REVISION,
}

Right = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the record."""

    right: Right
    name: str
    namespace: str
    is_allowed: bool
    is_made: bool  # an apply that made its object needs the right to create as well
    reason: str


def requests(scene: Scene) -> Iterator[Request]:
    """Read what the operator asked for."""
    with scene.ground.cluster.layout.audit_log.open("rb") as lines:
        for line in lines:
            if USER.encode() not in line:
                continue
            event = orjson.loads(line)
            about = event.get("objectRef")
            if event["user"]["username"] != USER or about is None:
                continue
            resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            yield Request(
                (about.get("apiGroup", ""), resource, event["verb"]),
                about.get("name", ""),
                about.get("namespace", ""),
                event["annotations"]["authorization.k8s.io/decision"] == "allow",
                event.get("responseStatus", {}).get("code") == CREATED,
                event["annotations"]["authorization.k8s.io/reason"],
            )


def granted(rules: list[Object]) -> set[Right]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture(scope="module")
def asked(scene: Scene) -> list[Request]:
    """What the operator asked for, each thing once."""
    found = list(dict.fromkeys(requests(scene)))
    assert found, "the API server wrote nothing down"
    return found


@pytest.fixture(scope="module")
def rights(scene: Scene) -> dict[str, set[Right]]:
    """What its two roles grant, by the kind of role."""
    own = ("role", ROLE, f"--namespace={SYSTEM_NAMESPACE}")
    return {
        "ClusterRole": granted(scene.read("clusterrole", ROLE)["rules"]),
        "Role": granted(scene.read(*own)["rules"]),
    }


def test_the_operator_was_never_refused_what_its_roles_do_not_grant(
    asked: list[Request], rights: dict[str, set[Right]]
) -> None:
    """What they do grant is refused for a moment: an uninstall takes roles before it takes pods."""
    known = rights["ClusterRole"] | rights["Role"]

    assert [one for one in asked if not one.is_allowed and one.right not in known] == []


def test_the_operator_lives_on_the_rights_of_its_own_roles(asked: list[Request]) -> None:
    allowed = (one for one in asked if one.is_allowed)
    others = {one.right: one.reason for one in allowed if f'"{ROLE}"' not in one.reason}

    assert others == {}


def test_the_operator_has_no_right_that_it_does_not_use(
    asked: list[Request], rights: dict[str, set[Right]], request: pytest.FixtureRequest
) -> None:
    ran = {item.path.stem for item in request.session.items}
    if missing := NEEDED - ran:
        pytest.skip(f"not everything was done that an operator does: {', '.join(sorted(missing))}")
    used: dict[str, set[Right]] = {"ClusterRole": set(), "Role": set()}
    for one in asked:
        if not one.is_allowed:
            continue
        kind = "ClusterRole" if "ClusterRoleBinding" in one.reason else "Role"
        used[kind].add(one.right)
        if one.is_made:
            used[kind].add((*one.right[:2], "create"))

    unused: dict[str, Any] = {kind: rights[kind] - used[kind] - RARE.keys() for kind in rights}

    assert unused == {"ClusterRole": set(), "Role": set()}
