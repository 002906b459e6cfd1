"""A real Prometheus that scrapes the real metrics of operator, router and model server."""

import asyncio
import os
import re
import signal
import subprocess
import urllib.parse
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from sandbox import toolchain
from sandbox.progress import silent
from tests.contract.router.pods import free_port

SCRAPE_S = 1
START_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Target:
    """One address to scrape, with the labels that service discovery would give it."""

    port: int
    labels: dict[str, str]


@dataclass(frozen=True)
class Prometheus:
    """Where a running Prometheus answers."""

    url: str

    async def ask(self, path: str, **query: str) -> Any:
        """Ask its API; AssertionError has its words if it refuses."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}") as answer,
        ):
            body = await answer.json()
        assert body["status"] == "success", f"{query}: {body.get('error')}"
        return body["data"]

    async def query(self, expression: str) -> list[Any]:
        """Give the series of an instant query."""
        result: list[Any] = (await self.ask("query", query=expression))["result"]
        return result

    async def names(self) -> set[str]:
        """List the names of all metrics."""
        return set(await self.ask("label/__name__/values"))


@asynccontextmanager
async def running(
    directory: Path,
    targets: Iterable[Target],
    *,
    rules: Path | None = None,
    discovery: str | None = None,
) -> AsyncIterator[Prometheus]:
    """Run Prometheus until the block ends; `discovery` is the address of more targets."""
    port = free_port()
    config: dict[str, Any] = {
        "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
        "rule_files": [str(rules)] if rules else [],
        "scrape_configs": [
            {
                "job_name": "slipway",
                "honor_labels": True,
                "static_configs": [
                    {"targets": [f"127.0.0.1:{target.port}"], "labels": target.labels}
                    for target in targets
                ],
                "http_sd_configs": [{"url": discovery, "refresh_interval": "1s"}]
                if discovery
                else [],
            },
            {"job_name": "prometheus", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
        ],
    }
    directory.mkdir()
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    program = toolchain.ensure("prometheus", log=silent)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        await _until_ready(f"http://127.0.0.1:{port}", directory / "log")
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


async def _until_ready(url: str, log: Path) -> None:
    async with asyncio.timeout(START_TIMEOUT_S), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/-/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            assert "level=error" not in log.read_text(encoding="utf-8"), log.read_text()
            await asyncio.sleep(0.05)


def metric_names(expression: str) -> set[str]:
    """Collect the names of metrics from an expression: what is no label and no string."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    bare = re.sub(r"\b(by|on|ignoring|group_left|group_right|without)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"\b(?:slipway|envoy)_\w+", bare))
