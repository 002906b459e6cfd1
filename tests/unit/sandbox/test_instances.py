"""Claims of cluster indexes: one owner each, machine-wide."""

import socket
from pathlib import Path

import pytest

from sandbox.addresses import INDEX_MAX, Addresses
from sandbox.errors import SandboxError
from sandbox.instances import Claims
from sandbox.progress import silent


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "run")


def take(claims: Claims, owner: str, *, networks: tuple[str, ...] = ()) -> Addresses:
    return claims.take(Path(owner), node_count=2, networks=networks, log=silent)


def test_two_owners_get_different_indexes(claims: Claims) -> None:
    assert take(claims, "/one").index != take(claims, "/other").index


def test_an_owner_keeps_its_index(claims: Claims) -> None:
    assert take(claims, "/one") == take(claims, "/one")


def test_an_index_that_was_given_back_is_free(claims: Claims) -> None:
    first = take(claims, "/one")
    claims.release(Path("/one"))

    assert take(claims, "/other") == first


def test_networks_of_the_machine_are_avoided(claims: Claims) -> None:
    taken = tuple(Addresses(index, 2).pod_cidr for index in range(INDEX_MAX))

    assert take(claims, "/one", networks=taken).index == INDEX_MAX


def test_ports_of_others_are_avoided(claims: Claims) -> None:
    """Only the last two indexes are left, which clusters on this machine hardly ever reach."""
    taken = tuple(Addresses(index, 2).pod_cidr for index in range(INDEX_MAX - 1))
    ports = Addresses(INDEX_MAX - 1, 2).ports

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", ports.etcd_client))
        listener.listen()

        assert take(claims, "/one", networks=taken).index == INDEX_MAX


def test_a_machine_without_a_free_network_says_so(claims: Claims) -> None:
    with pytest.raises(SandboxError, match=f"none of the {INDEX_MAX + 1} networks"):
        take(claims, "/one", networks=("0.0.0.0/1", "128.0.0.0/1"))


def test_a_claim_cut_short_by_a_crash_is_free(claims: Claims) -> None:
    first = take(claims, "/one")
    (claims.root / str(first.index) / "owner.json").write_text("")

    assert take(claims, "/other") == first
