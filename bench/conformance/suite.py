"""All cases, in the order in which they run: what others stand on comes first."""

from typing import Final

from bench.conformance.cases import Case, collect
from bench.conformance.groups import (
    binary,
    binary_refusals,
    clients,
    codings,
    control,
    crowd,
    extras,
    health,
    inference,
    metadata,
    refusals,
    rpc,
    triton,
)

CASES: Final[tuple[Case, ...]] = collect(
    (
        health,
        metadata,
        inference,
        refusals,
        binary,
        binary_refusals,
        codings,
        triton,
        crowd,
        clients,
        rpc,
        extras,
        control,
    )
)
