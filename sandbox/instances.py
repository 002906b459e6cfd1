"""Which cluster index belongs to whom on this machine.

Indexes are claimed machine-wide, below /run, because two users of the sandbox may keep their
caches apart and still share links, addresses and ports. A reboot frees all of them.
"""

import contextlib
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox import files, locks
from sandbox.addresses import INDEX_MAX, RUN, Addresses
from sandbox.errors import SandboxError
from sandbox.progress import Log

_CLAIM: Final = "owner.json"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims below `root`, one folder per index."""

    root: Path = RUN

    def take(self, owner: Path, *, node_count: int, networks: Iterable[str], log: Log) -> Addresses:
        """Claim the lowest index that collides with nothing; `owner` is the cluster's folder.

        An owner that has one already keeps it. `networks` are those that the machine reaches.
        """
        taken = list(networks)
        with locks.held(self.root / "lock", log=log):
            claims = self.all()
            for index, known in claims.items():
                if known == owner:
                    return Addresses(index, node_count)
            for index in range(INDEX_MAX + 1):
                plan = Addresses(index, node_count)
                if index not in claims and not plan.overlaps(taken) and _are_free(plan):
                    files.write_whole(self.root / str(index) / _CLAIM, json.dumps(str(owner)))
                    return plan
        raise SandboxError(
            f"none of the {INDEX_MAX + 1} networks for clusters is free; "
            f"see {self.root} for who has one, and `ip route` for networks that overlap"
        )

    def all(self) -> dict[int, Path]:
        """Return the owner of each index that is claimed."""
        found: dict[int, Path] = {}
        for file in sorted(self.root.glob(f"*/{_CLAIM}")):
            # A claim cut short by a crash has made nothing yet.
            with contextlib.suppress(json.JSONDecodeError):
                found[int(file.parent.name)] = Path(json.loads(file.read_text(encoding="utf-8")))
        return found

    def release(self, owner: Path) -> None:
        """Give back what `owner` claimed; nothing claimed is no error."""
        for index, known in self.all().items():
            if known == owner:
                (self.root / str(index) / _CLAIM).unlink(missing_ok=True)


def _are_free(plan: Addresses) -> bool:
    """Return whether nobody listens on the plan's ports."""
    ports = plan.ports
    local = (ports.etcd_client, ports.etcd_peer, ports.api, ports.controllers, ports.scheduler)
    for port in local:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True
