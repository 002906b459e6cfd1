"""The cluster's DNS server as objects."""

from typing import Any

from sandbox import dns

DOCUMENTS = dns.documents(image="slipway.local/coredns:1", cluster_ip="10.192.0.10", replicas=2)


def one(kind: str) -> dict[str, Any]:
    (found,) = [document for document in DOCUMENTS if document["kind"] == kind]
    return found


def test_the_service_has_the_address_that_pods_are_told() -> None:
    assert one("Service")["spec"]["clusterIP"] == "10.192.0.10"


def test_the_service_leads_to_the_pods() -> None:
    template = one("Deployment")["spec"]["template"]

    assert one("Service")["spec"]["selector"] == template["metadata"]["labels"]


def test_the_pods_are_restricted() -> None:
    (container,) = one("Deployment")["spec"]["template"]["spec"]["containers"]

    assert container["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_no_name_is_looked_up_outside_and_unknown_ones_do_not_exist() -> None:
    assert "forward" not in dns.corefile()
    assert "rcode NXDOMAIN" in dns.corefile()
    assert "cluster.local" in dns.corefile()
