"""Which router port belongs to which deployment. The EndpointSlices are the record; this is a copy
of it that two workers cannot both take from.
"""

from slipway_api.names import LISTENER_PORT_FIRST, LISTENER_PORT_LAST

Owner = tuple[str, str]


class PortBook:
    """Ports by owner (namespace, name). Not thread-safe, one event loop."""

    def __init__(self) -> None:
        self._ports: dict[Owner, int] = {}
        self._taken: dict[int, Owner] = {}

    def record(self, owner: Owner, port: int) -> None:
        """Note what an EndpointSlice says; the first owner of a port keeps it."""
        if port not in self._taken and owner not in self._ports:
            self._ports[owner] = port
            self._taken[port] = owner

    def taken(self) -> tuple[int, ...]:
        """List the ports that belong to somebody, in the order in which they were noted."""
        return tuple(self._taken)

    def port(self, owner: Owner) -> int | None:
        """Look a port up, or take the lowest free one; None if there is none."""
        if owner in self._ports:
            return self._ports[owner]
        for port in range(LISTENER_PORT_FIRST, LISTENER_PORT_LAST + 1):
            if port not in self._taken:
                self.record(owner, port)
                return port
        return None

    def free(self, owner: Owner) -> None:
        """Give a port back: its listener is gone from every router."""
        port = self._ports.pop(owner, None)
        if port is not None:
            del self._taken[port]
