"""The demo: one good change of a model and three bad ones, on a real cluster, under real load.

`./dev demo` raises the cluster, installs Slipway with its chart, trains the models and changes
them four times. Everything goes into a ledger; the report computed from it, and nothing else,
decides whether all went as promised.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import account, changes, ground, guest_ground, ledger, models, pods, report, stage
from bench.guest_ground import GuestGround
from sandbox import places
from sandbox.progress import Log, Progress
from slipway_api.conditions import Phase

DEFAULT_RATE: Final = 200.0
FIRST_SERVES_S: Final = 240.0
STEADY_S: Final = 5.0  # of load before the first change and after each
QUIET_S: Final = 2.0
QUIET_WAIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    rate: float
    report: Path | None
    ledger: Path
    name: str
    keep: bool
    context: str | None
    values: Mapping[str, Any]


def main(argv: Sequence[str]) -> int:
    """Run the demo: 0 only if everything went as promised."""
    options = _parse(argv)
    options.ledger.unlink(missing_ok=True)
    log = Progress(sys.stdout)
    try:
        with _ground(options, log=log) as on_ground:
            play(on_ground, options, log=log)
    except stage.StageError as error:
        print(f"the demo could not go on: {error}", file=sys.stderr)
        return 1
    result = report.recompute(ledger.read(options.ledger))
    if options.report:
        options.report.write_text(report.to_json(result))
    print(f"\n{report.table(result)}\n\nledger: {options.ledger}")
    return 0 if result.passed else 1


def _parse(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="dev demo", description=__doc__)
    parser.add_argument("--rate", type=float, default=DEFAULT_RATE, help="requests per second")
    parser.add_argument("--report", type=Path, help="write the report as JSON to this file")
    parser.add_argument("--ledger", type=Path, help="write the ledger to this file")
    parser.add_argument("--name", default=ground.CLUSTER_NAME, help="the cluster's name")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up afterwards")
    parser.add_argument("--context", help="use the cluster of this context, which is there already")
    parser.add_argument("--registry", help="with --context: put before every image name")
    parser.add_argument("--values", type=Path, help="with --context: values of the chart, as JSON")
    options = parser.parse_args(argv)
    if options.context is None and (options.registry or options.values):
        parser.error("--registry and --values are for --context: the sandbox has its own images")
    if not 1 <= options.rate <= 1000:
        parser.error("rate must be 1 to 1000 requests per second")
    path = options.ledger or places.places().cache / "demo" / "ledger.jsonl"
    values = json.loads(options.values.read_text(encoding="utf-8")) if options.values else {}
    if options.registry:
        values["imageRegistry"] = options.registry
    return Options(
        rate=options.rate,
        report=options.report,
        ledger=path.resolve(),
        name=options.name,
        keep=options.keep,
        context=options.context,
        values=values,
    )


def _ground(options: Options, *, log: Log) -> AbstractContextManager[ground.Ground | GuestGround]:
    if options.context is None:
        return ground.raised(options.name, keep=options.keep, log=log)
    folder = places.places().cache / "models"
    return guest_ground.entered(
        options.context, options.values, models=folder, keep=options.keep, log=log
    )


def play(on_ground: ground.Ground | GuestGround, options: Options, *, log: Log) -> None:
    """Play the whole demo on a cluster; what happened is in the ledger afterwards."""
    log("training models on the breast-cancer data set …")
    catalogue = models.make(places.places().cache / "models")
    for release in catalogue.releases:
        if release.model == models.TUMOUR:
            log(f"  {release.model} {release.version}: {_quality(release)}")
    with ledger.Writer(options.ledger) as writer:
        target = stage.Target(changes.NAMESPACE, changes.NAME)
        on = stage.Stage(on_ground, target, writer=writer, ledger_path=options.ledger)
        try:
            if on_ground.has_slipway():
                log("Slipway is installed already, and used as it is")
            else:
                log("installing Slipway with its Helm chart …")
                on.install(places.checkout() / "charts" / "slipway", on_ground.values)
                log("Slipway is ready")
            with on_ground.serving(catalogue.folder) as base_url:
                _Play(on, catalogue, options, base_url=base_url, writer=writer).play()
        except stage.StageError:
            folder = options.ledger.with_suffix(".dump")
            on.dump(folder)
            log(f"what the cluster looked like then is in {folder}")
            raise
        finally:
            on.close()


def _quality(release: models.Release) -> str:
    accuracy = "" if release.accuracy is None else f", right on {release.accuracy:.1%} of new cases"
    return f"{release.note}{accuracy}"


class _Play:
    """The demo once Slipway is installed."""

    def __init__(
        self,
        on: stage.Stage,
        catalogue: models.Catalogue,
        options: Options,
        *,
        base_url: str,
        writer: ledger.Writer,
    ) -> None:
        self._on = on
        self._catalogue = catalogue
        self._options = options
        self._base_url = base_url
        self._writer = writer
        self._account = account.Account(
            lambda line: print(line, flush=True),
            began_s=time.time(),
            has_colour=sys.stdout.isatty(),
        )
        self._teller = stage.Teller(self._account, options.ledger)

    def play(self) -> None:
        on, options = self._on, self._options
        on.make_namespace()
        on.remove()  # of an earlier run on a cluster that was kept
        on.watch()
        self._say(f"applying {changes.NAMESPACE}/{changes.NAME}, model version 1.0.0")
        self._apply(changes.FIRST_VERSION, changes.CHANGES[0].steps)
        on.wait(
            lambda seen: seen.status.phase == Phase.SERVING,
            what="the first revision serves",
            timeout_s=FIRST_SERVES_S,
            teller=self._teller,
        )
        follower = pods.Follower(
            on.api_client, self._writer, namespace=changes.NAMESPACE, name=changes.NAME
        )
        follower.start()
        seconds = sum(changes.deadline_s(change, options.rate) for change in changes.CHANGES)
        self._say(
            f"{options.rate:g} requests per second, half REST, half gRPC, to"
            f" http://{changes.NAME}.{changes.NAMESPACE}"
        )
        samples = self._catalogue.samples(models.TUMOUR)
        with on.load(samples=samples, model=models.TUMOUR, rate=options.rate, seconds=seconds):
            on.rest(STEADY_S, teller=self._teller)
            for change in changes.CHANGES:
                self._change(change)
        pods.wait_until_quiet(ledger.Tail(options.ledger), quiet_s=QUIET_S, timeout_s=QUIET_WAIT_S)
        follower.close()

    def _say(self, text: str) -> None:
        self._account.line(time.time(), text, style="change")

    def _apply(self, version: str, steps: tuple[changes.Step, ...]) -> int:
        release = self._catalogue.release(models.TUMOUR, version)
        return self._on.apply(changes.manifest(release, steps, base_url=self._base_url))

    def _change(self, change: changes.Change) -> None:
        """Apply one change, follow it to its end and note what came of it."""
        on = self._on
        assert on.latest is not None
        stable = on.latest.status.stable
        last = on.latest.status.history[0] if on.latest.status.history else None
        warnings = on.warning_count
        plan = ", ".join(f"{step.weight} %" for step in change.steps)
        self._say(f"=== {change.name}: {change.story} ({change.version}; {plan}, 100 %)")
        self._writer.write(
            ledger.RolloutBegin(time.time(), change.name, change.version, change.promise)
        )
        self._writer.flush()
        generation = self._apply(change.version, change.steps)
        before = changes.Before(generation, stable, last)
        seen = on.wait(
            lambda seen: changes.ended(seen.status, before) is not None,
            what=f"the change '{change.name}' ended",
            timeout_s=changes.deadline_s(change, self._options.rate),
            teller=self._teller,
        )
        rollout = changes.ended(seen.status, before)
        assert rollout is not None
        on.rest(STEADY_S, teller=self._teller)  # Events and pods' last words come a little later
        settled = on.latest.status
        warned = on.warning_count - warnings
        self._writer.write(
            ledger.RolloutEnd(
                at=seen.at,
                name=change.name,
                candidate=rollout.revision,
                outcome=rollout.outcome,
                reason=rollout.reason,
                problem=changes.problem(settled, rollout, before=before, warnings=warned),
            )
        )
        self._writer.flush()
        self._say(f"{change.name}: {rollout.outcome}, {rollout.reason}: {rollout.message}")
        print(f"$ kubectl slipway status {changes.NAME}\n{on.screen()}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
