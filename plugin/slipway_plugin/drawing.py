"""How people see a plan: as a table with times, and as a drawing with time to the right. Pure."""

import math
from collections.abc import Iterable, Iterator
from typing import Final

from slipway_plugin import contract, strategy, wording
from slipway_plugin.plan import Plan
from slipway_plugin.screen import Line
from slipway_plugin.strategy import Step

LABEL: Final = 9  # columns before the drawing
HEIGHT: Final = 4  # lines of the bars
EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
DOTS: Final = "┈"
MATCH_WIDTH_MAX: Final = 24
DOTTED: Final = ("mirror", "match", "budget")  # go on over the steps that leave them as they are
LAST_WIDTH_MIN: Final = 8
ENDS: Final = {"promote": "promoted, stable", "stop": "shadow ends here"}


def screen(plan: Plan, *, width: int) -> list[Line]:
    """Show a plan as a table, with when each step ends at the earliest."""
    title = f"{plan.name}  {plan.namespace}   model {plan.model}   {plan.strategy}"
    lines = [Line(title), Line(f"  {plan.replicas} pods of pool {plan.pool}")]
    lines += [Line(text) for text in wording.table(_rows(plan), width=width, indent="  ")]
    lines += [
        Line(f"  {text}") for text in _remarks(plan) for text in wording.wrap(text, width - 2)
    ]
    return lines


def picture(plan: Plan, *, width: int) -> list[Line]:
    """Draw a plan: bars are the candidate's weight, dots are copies of requests.

    Time goes to the right, not to scale: longer steps are wider.
    """
    cells = [_cells(plan, step) for step in plan.steps]
    last = _last(plan)
    end = {"weight": _percent(last.weight_percent), "pods": str(last.pods)}
    cells.append({**end, "then": ENDS[plan.ends].partition(",")[0]})
    widths = _widths(plan, cells, room=width - LABEL)
    lines = [_label("", bar) for bar in _bars((*plan.steps, last), widths) if bar]
    for name in ("weight", *DOTTED, "pods", "hold", "until", "then"):
        texts = [cell.get(name, "") for cell in cells]
        if any(texts):
            lines.append(_label(name, _row(name, texts, widths)))
    return [Line(wording.clip(line, width)) for line in lines]


def _rows(plan: Plan) -> list[tuple[str, ...]]:
    """The table; a column of copies only where there are any."""
    has_mirror = any(step.mirror_percent for step in plan.steps)
    head = ("step", "weight", "mirror", "pods", "hold", "measuring", "ends after", "then")
    rows: list[tuple[str, ...]] = [head]
    passed_s = 0.0
    for index, step in enumerate(plan.steps, 1):
        passed_s += plan.lasts_s(step)
        rows.append(
            (
                str(index),
                _percent(step.weight_percent),
                _percent(step.mirror_percent) if step.mirror_percent else "–",
                str(step.pods),
                wording.span(step.hold_s) if step.hold_s else "–",
                _measuring(plan, step),
                wording.span(passed_s),
                _then(step),
            )
        )
    last = _last(plan)
    end = ("end", _percent(last.weight_percent), "–", str(last.pods), "–", "–")
    rows.append((*end, wording.span(passed_s), ENDS[plan.ends]))
    return rows if has_mirror else [(*row[:2], *row[3:]) for row in rows]


def _last(plan: Plan) -> Step:
    """What is so when the plan is over."""
    return Step(100, pods=plan.replicas) if plan.ends == "promote" else Step(0, pods=0)


def _measuring(plan: Plan, step: Step) -> str:
    if not step.needs_proof:
        return "–"
    if not strategy.is_measured(step):  # no requests: routers have nothing to judge
        return "queries" if plan.has_queries else "–"
    measured_s = plan.measured_s(step)
    return "?" if measured_s is None else f"~{wording.span(measured_s)}"


def _then(step: Step) -> str:
    if step.is_probation:
        return "stable is kept"
    return "asks a person" if step.asks_person else ""


def _percent(value: int) -> str:
    return f"{value} %"


def _remarks(plan: Plan) -> list[str]:
    said = [f"gates: {'; '.join(plan.gates)}"]
    if any(step.needs_proof for step in plan.steps):
        text = (
            f"a clean candidate answers about {contract.CLEAN_ATTEMPTS:,} requests in a step"
            f" before it is proven; too few for {plan.insufficient_after}:"
            f" {plan.insufficient_then}"
        )
        said.append(text)
        if plan.rate is None:
            said.append("say how many requests per second there are (--rate) for times of that")
    said += _remarks_on_matches(plan)
    if any(step.mirror_percent for step in plan.steps):
        said.append("mirror: the candidate's answers to copies are judged and thrown away")
    if any(step.is_probation for step in plan.steps):
        text = "probation: stable keeps all its pods; a gate that fails leads everything back"
        said.append(text)
    if plan.ends == "stop":
        said.append("the candidate goes when it has passed: name another strategy to roll it out")
    said.append("the first revision of a deployment has no steps: it serves when it is ready")
    return said


def _remarks_on_matches(plan: Plan) -> list[str]:
    """Say at which steps which requests go to the candidate."""
    found: dict[str, list[str]] = {}
    for index, step in enumerate(plan.steps, 1):
        if step.match:
            found.setdefault(strategy.marks(step.match), []).append(str(index))
    return [
        f"{'step' if len(at) == 1 else 'steps'} {', '.join(at)}: requests with {marks} go to the"
        " candidate"
        for marks, at in found.items()
    ]


def _cells(plan: Plan, step: Step) -> dict[str, str]:
    """What is written below the bar of a step."""
    marks = " or ".join(f"{each.name}={each.value}" for each in step.match)
    return {
        "weight": _percent(step.weight_percent),
        "mirror": _percent(step.mirror_percent) if step.mirror_percent else "",
        "match": wording.clip(marks, MATCH_WIDTH_MAX),
        "budget": f"under {plan.bad_answers_max:,} bad answers" if plan.bad_answers_max else "",
        "pods": str(step.pods),
        "hold": wording.span(step.hold_s) if step.hold_s else "",
        "until": "+".join(_asked(plan, step)),
        "then": "stable kept" if step.is_probation else "",
    }


def _asked(plan: Plan, step: Step) -> list[str]:
    """Name what leaving a step asks for, besides its time."""
    can_prove = strategy.is_measured(step) or plan.has_queries
    found = ["gates"] if step.needs_proof and can_prove else []
    return [*found, "person"] if step.asks_person else found


def _widths(plan: Plan, cells: list[dict[str, str]], *, room: int) -> list[int]:
    """Give each step the columns that its words need, and more to those that last longer."""
    needs = [LAST_WIDTH_MIN if cell is cells[-1] else 0 for cell in cells]
    for name in {name for cell in cells for name in cell}:
        for start, end, text in _runs(name, [cell.get(name, "") for cell in cells]):
            each = -(-(len(text) + 2) // (end - start))
            needs[start:end] = [max(each, need) for need in needs[start:end]]
    spare = room - sum(needs)
    if spare < 0:
        return _narrow(len(needs), room=room)
    parts = [math.log2(1 + step.hold_s / 60) for step in plan.steps] + [0.0]
    whole = max(sum(parts), 12.0)
    return [need + int(spare * part / whole) for need, part in zip(needs, parts, strict=True)]


def _runs(name: str, texts: list[str]) -> Iterator[tuple[int, int, str]]:
    """Find from where to where each text goes: one step, or all that leave a setting as it is."""
    start = 0
    for at in range(1, len(texts) + 1):
        is_same = at < len(texts) and name in DOTTED and texts[at] == texts[start]
        if not is_same:
            yield start, at, texts[start]
            start = at


def _narrow(count: int, *, room: int) -> list[int]:
    """Share the columns where words do not fit; of very many steps some are left out."""
    return [room * (index + 1) // count - room * index // count for index in range(count)]


def _bars(steps: Iterable[Step], widths: list[int]) -> list[str]:
    """Draw weights as bars, in eighths of a line."""
    heights = [math.ceil(step.weight_percent * HEIGHT * 8 / 100) for step in steps]
    lines = []
    for level in reversed(range(HEIGHT)):
        signs = (EIGHTHS[max(0, min(8, height - 8 * level))] for height in heights)
        lines.append("".join(sign * size for sign, size in zip(signs, widths, strict=True)))
    return [line.rstrip() for line in lines]


def _row(name: str, texts: list[str], widths: list[int]) -> str:
    """Write a text below each bar, where it fits; dots go on as long as the setting does."""
    cells = []
    for start, end, text in _runs(name, texts):
        size = sum(widths[start:end])
        shown = text if len(text) < size else ""
        fill = DOTS if text and name in DOTTED else " "
        cells.append(shown + fill * (size - len(shown) - 1) + " "[:size])
    return "".join(cells).rstrip()


def _label(name: str, text: str) -> str:
    return f"{name:<{LABEL}}{text}".rstrip()
