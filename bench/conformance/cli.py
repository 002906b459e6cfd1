"""`./dev conformance`: points the suite at a server, or writes the models for one."""

import argparse
import asyncio
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from bench.conformance import models, results, runner
from bench.conformance.models import NAMES, Kind
from bench.conformance.runner import Target, UnreachableError


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; `target` is None where models are exported."""
    parser = argparse.ArgumentParser(
        prog="./dev conformance",
        description="Try a server against the Open Inference Protocol V2 and Triton's extensions.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="http://HOST[:PORT] of the server")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="the same server over gRPC")
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
    options = parser.parse_args(argv)
    if (options.url is None) == (options.export is None):
        parser.error("give either URL or --export DIR")
    options.target = None if options.url is None else _target(parser, options)
    return options


def _target(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Target:
    url = urllib.parse.urlsplit(options.url)
    if url.scheme != "http" or not url.hostname or url.query or url.fragment:
        parser.error(f"URL must look like http://HOST:PORT, not {options.url}")
    return Target(
        url=options.url.rstrip("/"),
        grpc=options.grpc,
        names={kind: getattr(options, kind) for kind in Kind},
        only=options.only,
    )


def main(argv: Sequence[str]) -> int:
    """0 if nothing failed, 1 if something did, 2 if there is no server."""
    options = parse(argv)
    if options.target is None:
        for path in models.export(options.export):
            print(path)
        return 0
    from bench.conformance import suite  # with the clients' libraries, which an export spares

    try:
        report = asyncio.run(runner.run(options.target, suite.CASES))
    except UnreachableError as error:
        print(error, file=sys.stderr)
        return 2
    if options.report:
        options.report.write_text(results.to_json(report), encoding="utf-8")
    print(results.text(report))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
