"""Bridges, cables and network namespaces, by iproute2. Decides nothing: the plan is `addresses`."""

import contextlib
import json
from pathlib import Path
from typing import Final

from sandbox import programs
from sandbox.addresses import Addresses, Member
from sandbox.journal import Entry, Journal

_TIMEOUT_S: Final = 20.0
_INSIDE: Final = "eth0"


def networks_in_use() -> list[str]:
    """Return the IPv4 networks that this machine has a route to, the default route aside."""
    routes = json.loads(_ip("-json", "-4", "route", "show") or "[]")
    return [route["dst"] for route in routes if route["dst"] != "default"]


def build(addresses: Addresses, *, journal: Journal) -> None:
    """Make the bridge and connect every member to it, each thing written down first."""
    journal.add(Entry("link", addresses.bridge))
    _ip("link", "add", addresses.bridge, "type", "bridge")
    _ip("address", "add", f"{addresses.gateway}/24", "dev", addresses.bridge)
    _ip("link", "set", addresses.bridge, "up")
    for member in addresses.members:
        journal.add(Entry("namespace", member.namespace))
        journal.add(Entry("link", member.link))
        _connect(member, addresses)
    for member in addresses.members:
        _route(member, addresses)


def set_link(member: Member, *, up: bool) -> None:
    """Pull or plug the cable of a member at the machine's end."""
    _ip("link", "set", member.link, "up" if up else "down")


def remove_link(name: str) -> None:
    """Remove a link and its other end; one that is gone is no error."""
    if Path("/sys/class/net", name).exists():
        # Between look and deed its namespace may have taken it along.
        with contextlib.suppress(programs.ProgramError):
            _ip("link", "delete", name)


def remove_namespace(name: str) -> None:
    """Remove a network namespace; one that is gone is no error."""
    if Path("/run/netns", name).exists():
        _ip("netns", "delete", name)


def _connect(member: Member, addresses: Addresses) -> None:
    _ip("netns", "add", member.namespace)
    _ip(
        "link",
        "add",
        member.link,
        "type",
        "veth",
        "peer",
        "name",
        _INSIDE,
        "netns",
        member.namespace,
    )
    _ip("link", "set", member.link, "master", addresses.bridge, "up")
    inside = ("-netns", member.namespace)
    _ip(*inside, "address", "add", f"{member.address}/24", "dev", _INSIDE)
    _ip(*inside, "link", "set", "lo", "up")
    _ip(*inside, "link", "set", _INSIDE, "up")
    # Pods have no way out of the cluster: the machine itself does not forward.
    _ip(*inside, "route", "add", "default", "via", addresses.gateway)
    programs.run(
        [
            "nsenter",
            f"--net={member.namespace_file}",
            "sh",
            "-c",
            "echo 1 >/proc/sys/net/ipv4/ip_forward",
        ],
        timeout_s=_TIMEOUT_S,
    )


def _route(member: Member, addresses: Addresses) -> None:
    """Tell a member the way to pods of the nodes, and the machine the way to this node's pods."""
    for node in addresses.nodes:
        if node != member and node.pod_cidr is not None:
            inside = ("-netns", member.namespace)
            _ip(*inside, "route", "add", node.pod_cidr, "via", node.address)
    if member.pod_cidr is not None:
        _ip("route", "add", member.pod_cidr, "via", member.address, "dev", addresses.bridge)


def _ip(*arguments: str) -> str:
    return programs.run(["ip", *arguments], timeout_s=_TIMEOUT_S)
