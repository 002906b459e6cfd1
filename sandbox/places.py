"""Where the sandbox keeps things: one cache folder, and the checkout itself.

Knows paths only; it creates nothing and runs nothing.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CACHE_VARIABLE: Final = "SLIPWAY_CACHE"


def checkout() -> Path:
    """Return the top folder of the checkout that this code lies in."""
    return Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Places:
    """The folders below one cache root. Removing the root removes every cache."""

    cache: Path

    @property
    def bin(self) -> Path:
        """Programs built here, each named by a hash of its sources."""
        return self.cache / "bin"

    @property
    def go_modules(self) -> Path:
        """Go's module cache; needed again only when sources change."""
        return self.cache / "go" / "mod"

    @property
    def go_build(self) -> Path:
        """Go's build cache; needed again only when sources change."""
        return self.cache / "go" / "build"

    @property
    def images(self) -> Path:
        """Container images as docker-archive files."""
        return self.cache / "images"

    @property
    def debian(self) -> Path:
        """Unpacked Debian packages, one folder per package."""
        return self.cache / "debian"

    @property
    def clusters(self) -> Path:
        """State of each cluster, one folder per name."""
        return self.cache / "clusters"

    @property
    def locks(self) -> Path:
        """Lock files; a lock is held as long as its holder lives."""
        return self.cache / "locks"


def places() -> Places:
    """Return the folders below $SLIPWAY_CACHE, by default ~/.cache/slipway."""
    root = os.environ.get(CACHE_VARIABLE)
    return Places(Path(root) if root else Path.home() / ".cache" / "slipway")
