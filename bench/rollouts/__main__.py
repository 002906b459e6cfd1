"""`./dev bench rollouts`: every strategy, and what may go wrong, on a cluster under load.

Each run leaves its ledger beside the report, and every row of the report is computed from one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench import files, ground, models, monitoring
from bench.monitoring import Numbers
from bench.rollouts import document, scenarios, strategies
from bench.rollouts.idleness import NAMESPACE as IDLE_NAMESPACE
from bench.rollouts.idleness import SCENARIO as IDLE
from bench.rollouts.idleness import Idleness
from bench.rollouts.playing import GATE, NAME, NAMESPACE, Measured, Player
from bench.scene import SYSTEM_NAMESPACE, Scene, install
from bench.stage import Target
from bench.trial import LEDGER_FILE, Models
from sandbox import places
from sandbox.progress import Log, Progress

RATE: Final = 200.0
REPLICAS: Final = 4
IDLE_COUNT: Final = 100
IDLE_S: Final = 300.0
CLUSTER: Final = "bench"
GIT_S: Final = 20.0


def main(argv: Sequence[str]) -> int:
    """Play, compute, write: 0 only if all that is promised was kept."""
    options = parse(argv)
    report: Path = (options.report or places.places().cache / "rollouts" / "report.json").resolve()
    folder = report.with_name(f"{report.stem}-ledgers")
    if options.recompute:
        if options.markdown:
            print(document.markdown(document.read(folder)))
        return recompute(report, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in () if options.add else folder.glob(f"*{document.SUFFIX}"):
        old.unlink()
    log = Progress(sys.stdout)
    for played in _played(options, report.with_name(f"{report.stem}-work"), log=log):
        name = document.next_name(folder)
        played.rename(folder / name)
        found = document.read(folder)
        report.write_text(document.to_json(found, commit=_commit()))
        log(document.table(document.Report((document.entry(folder / name),))))
    print(f"\n{document.table(document.read(folder))}\n\nreport: {report}\nledgers: {folder}")
    return 1 if document.read(folder).misses else 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./dev bench rollouts", description=__doc__)
    names = [each.name for each in strategies.STRATEGIES]
    known = [*(each.name for each in scenarios.SCENARIOS), IDLE]
    parser.add_argument("--quick", action="store_true", help="a few scenarios, once each")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--strategies", nargs="+", choices=names, default=names)
    parser.add_argument("--scenarios", nargs="+", choices=known)
    parser.add_argument("--repeats", type=int, help="how often each; default: as promised")
    parser.add_argument("--rate", type=float, default=RATE, help="requests per second")
    parser.add_argument("--replicas", type=int, default=REPLICAS, help="pods of the deployment")
    parser.add_argument("--idle", type=int, default=IDLE_COUNT, help="deployments that idle")
    parser.add_argument("--add", action="store_true", help="keep the report's earlier rows")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up afterwards")
    parser.add_argument("--name", default=CLUSTER, help="the cluster's name")
    parser.add_argument(
        "--recompute", action="store_true", help="only compute the report again from its ledgers"
    )
    parser.add_argument("--markdown", action="store_true", help="with it, the documents' table")
    options = parser.parse_args(argv)
    if options.scenarios is None:
        quick = [each.name for each in scenarios.SCENARIOS if each.is_quick]
        options.scenarios = quick if options.quick else known
    if options.quick and options.repeats is None:
        options.repeats = 1
    return options


def recompute(report: Path, folder: Path) -> int:
    """Compute a report again; 0 if its ledgers say the same as it does."""
    written = json.loads(report.read_text(encoding="utf-8"))
    found = document.read(folder)
    print(document.table(found))
    same = document.fields(found) == {key: written.get(key) for key in document.fields(found)}
    print(f"the ledgers say {'the same as' if same else 'something else than'} {report}")
    return 0 if same else 1


def _played(options: argparse.Namespace, folder: Path, *, log: Log) -> Iterator[Path]:
    """Play what is asked for; gives the ledger of each run."""
    catalogue = models.make(places.places().cache / "models")
    wanted = [scenarios.scenario(name) for name in options.scenarios if name != IDLE]
    by = [strategies.strategy(name) for name in options.strategies]
    plays = list(scenarios.plays(by, wanted, repeats=options.repeats))
    with (
        ground.raised(options.name, keep=options.keep, log=log) as found,
        files.serve(catalogue.folder, address=found.host_address) as base_url,
        _prometheus(found) as prometheus,
    ):
        scene = Scene(found)
        for namespace in (SYSTEM_NAMESPACE, NAMESPACE, IDLE_NAMESPACE):
            scene.make_namespace(namespace)
        install(scene, {"prometheus": {"url": prometheus.url}})
        scene.delete(Target(NAMESPACE, NAME))  # of a run before, on a cluster that was kept
        source = Models(catalogue, base_url)
        measured = Measured(options.rate, options.replicas)
        player = Player(scene, source, prometheus=prometheus, measured=measured)
        for number, play in enumerate(plays, 1):
            log(f"{number} of {len(plays)}: {play.strategy.name}, {play.name}")
            yield player.play(play, folder=_emptied(folder))
        if plays:
            scene.delete(Target(NAMESPACE, NAME))
        if IDLE in options.scenarios:
            idle = Idleness(scene, source, folder=_emptied(folder))
            yield idle.play(options.idle, seconds=IDLE_S)


def _emptied(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LEDGER_FILE).unlink(missing_ok=True)
    return folder


@contextmanager
def _prometheus(found: ground.Ground) -> Iterator[monitoring.Program]:
    """Prepare a Prometheus that has a good number; it runs when it is started."""
    address = found.cluster.layout.addresses.client.address
    with (
        tempfile.TemporaryDirectory() as scratch,
        Numbers(**{GATE: 0.95}).served(found.host_address) as target,
    ):
        program = monitoring.prometheus(
            Path(scratch) / "prometheus",
            address=address,
            targets=(target,),
            wrap=found.client_command,
        )
        try:
            yield program
        finally:
            program.stop()


def _commit() -> str:
    """Name the commit that is measured; empty where there is no git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=places.checkout(),
            capture_output=True,
            text=True,
            check=False,
            timeout=GIT_S,
        )
    except OSError:
        return ""
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
