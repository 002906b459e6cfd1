"""The stage of the router's tests: routers are one of the programs that are scraped."""

from tests.contract.router.conftest import stage

__all__ = ["stage"]
