"""Arithmetic in PromQL that is too long to be written by hand. Pure."""

from typing import Final

_LEAST: Final = "0.0001"  # a share of none would have no logarithm


def psi(live: str, reference: str, *, of: str, bins: str) -> str:
    """The population stability index of two counts by bins: how far apart their shares are.

    The sum of (p - q) ln(p / q) over bins; `of` are the labels of what is compared, `bins` is the
    label of the bins. A bin that one side does not have counts as empty there.
    """
    p, q = (
        _share(counts, other, of=of, bins=bins)
        for counts, other in ((live, reference), (reference, live))
    )
    return f"sum by ({of}) (({p} - {q}) * ln({p} / {q}))"


def _share(counts: str, other: str, *, of: str, bins: str) -> str:
    whole = f"sum by ({of}) ({counts})"
    share = f"({counts} or 0 * {other}) / on ({of}) group_left {whole}"
    return f"clamp_min(sum by ({of}, {bins}) ({share}), {_LEAST})"
