"""The cluster's DNS: CoreDNS as a Deployment behind the address that every pod is told. Pure."""

from typing import Any, Final

from sandbox.addresses import CLUSTER_DOMAIN

NAMESPACE: Final = "kube-system"
NAME: Final = "coredns"
_PORT: Final = 5353  # above 1023: the pod has no capabilities
_LABELS: Final = {"k8s-app": "kube-dns"}


def documents(*, image: str, cluster_ip: str, replicas: int) -> list[dict[str, Any]]:
    """Return the objects of the DNS server."""
    return [
        _named("v1", "ServiceAccount"),
        _cluster_role(),
        _binding(),
        {**_named("v1", "ConfigMap"), "data": {"Corefile": corefile()}},
        _deployment(image, replicas),
        _service(cluster_ip),
    ]


def corefile() -> str:
    """Return CoreDNS' configuration. Nothing is forwarded: the cluster knows no other names."""
    return f"""\
.:{_PORT} {{
    errors
    health :8080 {{
        lameduck 5s
    }}
    ready :8181
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
    }}
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
    cache 5
}}
"""


def _named(api_version: str, kind: str) -> dict[str, Any]:
    metadata = {"name": NAME, "namespace": NAMESPACE, "labels": _LABELS}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _cluster_role() -> dict[str, Any]:
    read = ["list", "watch"]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"system:{NAME}"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "namespaces", "pods"], "verbs": read},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        ],
    }


def _binding() -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"system:{NAME}"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": f"system:{NAME}",
        },
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }


def _deployment(image: str, replicas: int) -> dict[str, Any]:
    return {
        **_named("apps/v1", "Deployment"),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": _pod(image)},
        },
    }


def _pod(image: str) -> dict[str, Any]:
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _LABELS},
    }
    return {
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "topologySpreadConstraints": [spread],
        "tolerations": [{"operator": "Exists"}],
        "containers": [_container(image)],
        "volumes": [{"name": "config", "configMap": {"name": NAME}}],
    }


def _container(image: str) -> dict[str, Any]:
    return {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": _PORT, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": _PORT, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": "20m", "memory": "40Mi"},
            "limits": {"memory": "170Mi"},
        },
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "failureThreshold": 5},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }


def _service(cluster_ip: str) -> dict[str, Any]:
    service = _named("v1", "Service")
    return {
        **service,
        "metadata": {**service["metadata"], "name": "kube-dns"},
        "spec": {
            "clusterIP": cluster_ip,
            "selector": _LABELS,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": "dns-tcp"},
            ],
        },
    }
