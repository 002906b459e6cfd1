"""`./dev conformance`: points the suite at a server, or writes the models for one.

A server that is known by name is started first, with one model after the other.
"""

import argparse
import asyncio
import sys
import urllib.parse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.conformance import kserve_sdk, models, peers, results, runner
from bench.conformance.models import NAMES, Kind
from bench.conformance.results import Report, Result
from bench.conformance.runner import Target, UnreachableError
from bench.server.processes import NotReadyError
from sandbox.progress import Log, Progress


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; `target` is None unless a URL is given."""
    parser = argparse.ArgumentParser(
        prog="./dev conformance",
        description="Try a server against the Open Inference Protocol V2 and Triton's extensions.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="http://HOST[:PORT] of the server")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="the same server over gRPC")
    parser.add_argument(
        "--admin", metavar="URL", help="where models are loaded and unloaded; skipped without"
    )
    parser.add_argument("--admin-grpc", metavar="HOST:PORT", help="the same over gRPC")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a report as JSON")
    parser.add_argument(
        "--only", type=Kind, choices=list(Kind), help="leave out what is asked of other models"
    )
    for kind, name in NAMES.items():
        parser.add_argument(
            f"--{kind}", default=name, metavar="NAME", help="its name there, default: %(default)s"
        )
    parser.add_argument(
        "--export", type=Path, metavar="DIR", help="write the models and do nothing else"
    )
    parser.add_argument(
        "--peer", choices=list(peers.PEERS), help="start this server with each of the models"
    )
    parser.add_argument(
        "--kserve-sdk", action="store_true", help="try KServe's Python SDK on it, too"
    )
    options = parser.parse_args(argv)
    if sum(each is not None for each in (options.url, options.export, options.peer)) != 1:
        parser.error("give one of URL, --peer and --export DIR")
    is_renamed = any(getattr(options, kind) != name for kind, name in NAMES.items())
    is_placed = options.grpc or options.admin or options.admin_grpc
    if options.peer is not None and (is_placed or options.only or is_renamed):
        parser.error("--peer chooses addresses and models itself")
    options.target = None if options.url is None else _target(parser, options)
    return options


def _target(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Target:
    for given in filter(None, (options.url, options.admin)):
        url = urllib.parse.urlsplit(given)
        if url.scheme != "http" or not url.hostname or url.query or url.fragment:
            parser.error(f"URL must look like http://HOST:PORT, not {given}")
    return Target(
        url=options.url.rstrip("/"),
        admin=options.admin and options.admin.rstrip("/"),
        admin_grpc=options.admin_grpc,
        grpc=options.grpc,
        names={kind: getattr(options, kind) for kind in Kind},
        only=options.only,
    )


def main(argv: Sequence[str]) -> int:
    """0 if nothing failed, 1 if something did, 2 if there is no server."""
    options = parse(argv)
    if options.export is not None:
        for path in models.export(options.export):
            print(path)
        return 0
    try:
        report = _try_peer(options) if options.peer else _try(options)
    except (UnreachableError, NotReadyError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.report:
        options.report.write_text(results.to_json(report), encoding="utf-8")
    print(results.text(report))
    return report.exit_code


def _try(options: argparse.Namespace) -> Report:
    from bench.conformance import suite  # with the clients' libraries, which an export spares

    report = asyncio.run(runner.run(options.target, suite.CASES))
    return _with_sdk(report, options.target, log=Progress()) if options.kserve_sdk else report


def _with_sdk(report: Report, target: Target, *, log: Log) -> Report:
    return replace(report, cases=(*report.cases, *kserve_sdk.run(target, log=log)))


def _try_peer(options: argparse.Namespace) -> Report:
    log, name = Progress(), options.peer
    with peers.exported() as repository:
        found = {
            NAMES[kind]: _try_model(name, kind, repository=repository, log=log)
            for kind in peers.PEERS[name].kinds
        }
        report = results.summed(name, found)
        if not options.kserve_sdk:
            return report
        with peers.serving(name, Kind.SIMPLE, repository=repository, log=log) as target:
            return _with_sdk(report, target, log=log)


def _try_model(name: str, kind: Kind, *, repository: Path, log: Log) -> Report:
    """A server that a case ruined is started anew for those after it."""
    from bench.conformance import suite

    cases: list[Result] = []
    while len(cases) < len(suite.CASES):
        log(f"{name}: {NAMES[kind]}, from case {len(cases) + 1} of {len(suite.CASES)}")
        rest = suite.CASES[len(cases) :]
        with peers.serving(name, kind, repository=repository, log=log) as target:
            report = asyncio.run(runner.run(target, rest, is_ended_by_ruin=True))
        cases += report.cases
    return replace(report, cases=tuple(cases))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
