"""What a TLS client offers is read off its first message, and nonsense offers nothing."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_server import clienthello


def hello(*names: str) -> bytes:
    """The first message of a real client, without the head of its record."""
    context = ssl.create_default_context()
    if names:
        context.set_alpn_protocols(list(names))
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="churn.ml")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    record = sent.read()
    assert record[0] == clienthello.RECORD
    return record[clienthello.HEAD_BYTES :]


@pytest.mark.parametrize(
    ("names", "is_rpc"),
    [((), False), (("h2",), True), (("http/1.1",), False), (("h2", "http/1.1"), False)],
)
def test_who_speaks_http_2_alone_means_grpc(names, is_rpc):
    message = hello(*names)

    assert clienthello.offered(message) == tuple(name.encode() for name in names)
    assert clienthello.is_rpc(message) is is_rpc


@given(st.integers(0, 600))
def test_a_message_that_is_cut_off_offers_nothing_or_all(length):
    assert clienthello.offered(WHOLE[:length]) in ((), (b"h2",))


@given(st.binary(max_size=400))
def test_nonsense_is_read_without_harm(message):
    assert isinstance(clienthello.offered(message), tuple)


WHOLE = hello("h2")
