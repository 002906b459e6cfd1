"""What the operator asks a model server: which bytes did you load?"""

import hashlib
import socket

import pytest

from slipway_operator.adapters.model_probe import ModelProbe

pytestmark = pytest.mark.contract


async def asked(port: int, model: str) -> str:
    probe = ModelProbe(port=port)
    try:
        return await probe.digest("127.0.0.1", model)
    finally:
        await probe.close()


async def test_a_server_tells_the_digest_of_the_bytes_that_it_serves(identity_server, models):
    content = (models / "identity.onnx").read_bytes()

    told = await asked(identity_server.ports[0], "model")

    assert told == f"sha256:{hashlib.sha256(content).hexdigest()}"


async def test_a_server_that_does_not_know_the_model_tells_nothing(identity_server):
    assert await asked(identity_server.ports[0], "other") == ""


async def test_a_server_that_never_answers_tells_nothing(unused_tcp_port):
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        assert await asked(unused_tcp_port, "model") == ""


async def reached(port: int) -> bool:
    return await ModelProbe(port=port).is_reached("127.0.0.1")


async def test_a_server_that_never_answers_is_reached(unused_tcp_port):
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        assert await reached(unused_tcp_port)


async def test_an_address_that_refuses_connections_is_reached(unused_tcp_port):
    assert await reached(unused_tcp_port)


async def test_an_address_that_says_nothing_at_all_is_not_reached(unused_tcp_port):
    """A full queue of connections lets the kernel drop what comes, as a cut cable does."""
    address = ("127.0.0.1", unused_tcp_port)
    with socket.create_server(address, backlog=0), socket.create_connection(address):
        assert not await reached(unused_tcp_port)
