"""Router ports: one for each deployment, given once, as the EndpointSlices record it."""

from hypothesis import given
from hypothesis import strategies as st

from slipway_api.names import LISTENER_PORT_FIRST, LISTENER_PORT_LAST
from slipway_operator.shell.ports import PortBook

CHURN, FRAUD = ("ml", "churn"), ("ml", "fraud")


def test_a_deployment_keeps_its_port() -> None:
    book = PortBook()

    assert LISTENER_PORT_FIRST == book.port(CHURN)
    assert LISTENER_PORT_FIRST + 1 == book.port(FRAUD)
    assert LISTENER_PORT_FIRST == book.port(CHURN)


def test_two_namespaces_may_use_one_name() -> None:
    book = PortBook()

    assert book.port(("a", "churn")) != book.port(("b", "churn"))


def test_a_recorded_port_is_given_to_nobody_else() -> None:
    book = PortBook()
    book.record(FRAUD, LISTENER_PORT_FIRST)

    assert LISTENER_PORT_FIRST + 1 == book.port(CHURN)
    assert LISTENER_PORT_FIRST == book.port(FRAUD)


def test_the_first_owner_of_a_port_keeps_it() -> None:
    book = PortBook()
    book.record(CHURN, 12_000)
    book.record(FRAUD, 12_000)
    book.record(CHURN, 13_000)

    assert 12_000 == book.port(CHURN)
    assert LISTENER_PORT_FIRST == book.port(FRAUD)


def test_a_port_that_was_given_back_is_free() -> None:
    book = PortBook()
    book.port(CHURN)
    book.free(CHURN)
    book.free(CHURN)

    assert LISTENER_PORT_FIRST == book.port(FRAUD)


def test_when_all_ports_are_taken_there_is_none() -> None:
    book = PortBook()
    for port in range(LISTENER_PORT_FIRST, LISTENER_PORT_LAST + 1):
        book.record(("ml", f"m{port}"), port)

    assert book.port(CHURN) is None
    book.free(("ml", "m20000"))
    assert 20_000 == book.port(CHURN)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["port", "record", "free"]),
            st.sampled_from("abcd"),
            st.integers(LISTENER_PORT_FIRST, LISTENER_PORT_FIRST + 3),
        )
    )
)
def test_no_two_deployments_ever_share_a_port(events: list[tuple[str, str, int]]) -> None:
    book, held = PortBook(), dict[str, int]()
    for verb, name, port in events:
        if verb == "free":
            book.free(("ml", name))
            held.pop(name, None)
            continue
        if verb == "record":
            book.record(("ml", name), port)
        given_port = book.port(("ml", name))
        assert given_port is not None
        assert given_port == held.setdefault(name, given_port)

        assert len(set(held.values())) == len(held)
