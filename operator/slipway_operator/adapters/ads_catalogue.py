"""Everything that routers are meant to have, by the ModelDeployment that owns it.

Knows no stream and no router.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from slipway_operator.render.envoy_wire import Resource

# Resources of one owner, by type URL and then by name.
Wanted = Mapping[str, Mapping[str, Resource]]
_NOTHING: Final[Wanted] = MappingProxyType({})


class Catalogue:
    """Resources of each owner.

    An owner without resources is one that was removed: routers are to forget what they have of it.
    An owner that is not listed is unknown, and whatever routers have of it stays.
    """

    def __init__(self) -> None:
        self._owners: dict[str, Wanted] = {}

    def put(self, owner: str, resources: Sequence[Resource]) -> None:
        """Replace everything of one owner."""
        wanted: dict[str, dict[str, Resource]] = {}
        for resource in resources:
            wanted.setdefault(resource.type_url, {})[resource.name] = resource
        self._owners[owner] = wanted

    def forget(self, owner: str) -> None:
        """Drop a removed owner that no router has anything of any more."""
        assert not self._owners.get(owner), f"{owner} still has resources"
        self._owners.pop(owner, None)

    def of(self, owner: str) -> Wanted:
        """Look up the resources of one owner; empty if it is removed or unknown."""
        return self._owners.get(owner, _NOTHING)

    def knows(self, owner: str) -> bool:
        """Tell whether the owner was put or removed here."""
        return owner in self._owners

    def owners(self) -> Iterable[str]:
        """List all owners, removed ones included."""
        return self._owners.keys()
