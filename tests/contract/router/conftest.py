"""One stage per test; nothing outlives it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.router.stage import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Open an empty stage; its log and sockets lie in the test's own directory."""
    stage = Stage(tmp_path)
    await stage.open()
    yield stage
    await stage.close()
