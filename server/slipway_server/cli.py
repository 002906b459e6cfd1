"""The command line: serve a model on this machine, or look at one. In a pod there is none.

Without arguments the process takes its settings from the environment, as the operator gives them.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from slipway_api import names
from slipway_server import VERSION, processors
from slipway_server.backends.placement import Provider
from slipway_server.settings import Settings

PROGRAM: Final = "slipway-server"
_RUNS: Final = 20  # of which the fastest is shown


# Settings of the same names; a page of its own explains them.
_GUARDS: Final = (
    ("--tls-cert", "FILE", "certificate chain in PEM"),
    ("--tls-key", "FILE", "its key"),
    ("--tls-client-ca", "FILE", "clients must show a certificate of this one"),
    ("--auth-keys-file", "FILE", "lines of NAME SHA256 [RIGHT,RIGHT]"),
    ("--auth-jwks-file", "FILE", "public keys of tokens"),
    ("--auth-jwt-issuer", "NAME", "who makes tokens"),
    ("--auth-jwt-audience", "NAME", "for whom they must be"),
)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; ends the process with 2 and a line that says what is wrong."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Serves an ONNX model over the Open Inference Protocol.",
        epilog="Without a command, settings come from the environment: SLIPWAY_SERVER_MODEL_URI, …",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve a model until Ctrl-C")
    _add_serve_options(serve)
    inspect = commands.add_parser("inspect", help="load a model and tell what it takes and gives")
    inspect.add_argument("-o", "--output", choices=("text", "json"), default="text")
    for each in (serve, inspect):
        each.add_argument(
            "--threads", type=int, help="within an inference; default: as the container's quota"
        )
        each.add_argument(
            "--provider",
            type=Provider,
            choices=list(Provider),
            default=Provider.CPU,
            help="what runs the model, with a fallback; default: %(default)s",
        )
        each.add_argument(
            "model",
            metavar="MODEL",
            nargs="?" if each is serve else None,
            help="a file, a folder, http(s)://… or s3://…",
        )
        each.add_argument("--digest", default="", help="sha256:… that the bytes must have")
        each.add_argument(
            "--expect",
            type=Path,
            metavar="FILE",
            help="JSON: signature, warmUp, goldenRequests that the model must stand up to",
        )
    profile = commands.add_parser("profile", help="make a reference profile of a table")
    profile.add_argument("data", type=Path, metavar="DATA", help=".csv with a head, .npy or .npz")
    profile.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: print it")
    profile.add_argument(
        "--drop", action="append", default=[], metavar="COLUMN", help="no feature: a label, an id"
    )
    profile.add_argument(
        "--feature", action="append", default=[], metavar="COLUMN", help="count this one; repeat it"
    )
    options = parser.parse_args(argv)
    if options.command == "serve" and not (options.model or options.model_repository):
        serve.error("give a MODEL or --model-repository DIR")
    if (
        options.command == "serve"
        and options.admin_port is not None
        and not options.model_repository
    ):
        serve.error("--admin-port is for the models of --model-repository DIR")
    return options


def _add_serve_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--name", help="in request paths; default: the file's name")
    serve.add_argument("--model-version", default="1", help="default: %(default)s")
    serve.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    serve.add_argument(
        "--http-port", type=int, default=names.PORT_HTTP, help="default: %(default)s"
    )
    serve.add_argument(
        "--grpc-port", type=int, default=names.PORT_GRPC, help="default: %(default)s"
    )
    serve.add_argument("--max-batch-size", type=int, default=32, help="default: %(default)s rows")
    serve.add_argument("--profile", type=Path, help="reference profile to count features by")
    serve.add_argument(
        "--model-repository",
        type=Path,
        metavar="DIR",
        help="serve all of DIR/NAME/VERSION/model.onnx",
    )
    serve.add_argument(
        "--load-model",
        action="append",
        default=[],
        metavar="NAME",
        help="only this one of the repository; may be repeated",
    )
    serve.add_argument(
        "--admin-port", type=int, metavar="PORT", help="where its models are loaded and unloaded"
    )
    guards = serve.add_argument_group("who may ask, and TLS")
    for name, metavar, text in _GUARDS:
        kind = Path if metavar == "FILE" else str
        guards.add_argument(name, type=kind, metavar=metavar, help=text)


def _guards_of(options: argparse.Namespace) -> dict[str, Any]:
    """Those options that are given; the settings know the defaults of the others."""
    fields = [name.removeprefix("--").replace("-", "_") for name, _, _ in _GUARDS]
    found = {field: getattr(options, field) for field in fields}
    return {field: value for field, value in found.items() if value is not None}


def settings_of(options: argparse.Namespace, folder: Path) -> Settings:
    """What the options mean; downloads go to `folder`."""
    uri = _uri(options.model) if options.model else ""
    chosen = {
        "model_name": uri and (getattr(options, "name", None) or _name(uri)),
        "model_uri": uri,
        "model_digest": options.digest,
        "model_expectations": _expectations(options.expect),
        "provider": options.provider,
        "threads": options.threads or processors.sizes(processors.quota()).threads,
        "model_dir": folder,
        "termination_log": folder / "termination",
    }
    if options.command == "serve":
        chosen |= {
            "model_version": options.model_version,
            "model_repository": options.model_repository,
            "load_models": tuple(options.load_model),
            "admin_port": options.admin_port,
            "host": options.host,
            "http_port": options.http_port,
            "grpc_port": options.grpc_port,
            "any_port": 0,
            "profile": options.profile,
            "max_batch_size": options.max_batch_size,
            "grace_s": 0.0,  # no router has to notice
            **_guards_of(options),
        }
    return Settings(**chosen)


def main(argv: Sequence[str]) -> int:
    """Run a command. Raises LoadError when the model cannot be loaded."""
    options = parse(argv)
    if options.command == "profile":
        return _profile(options)
    with tempfile.TemporaryDirectory(prefix="slipway-server-") as folder:
        settings = settings_of(options, Path(folder))
        if options.command == "serve":
            return _serve(settings)
        return _inspect(settings, is_json=options.output == "json")


def _serve(settings: Settings) -> int:
    import uvloop

    from slipway_server import build
    from slipway_server.terminal import ProgressBar

    uvloop.run(build.serve(settings, announce=_announce, progress=ProgressBar()))
    return 0


def _announce(served: Any) -> None:
    from slipway_server import example

    scheme = "https" if served.guards.certificates else "http"
    url = f"{scheme}://{_shown(served.host)}:{served.http_port}"
    for model in served.models:
        print(f"{model.name} is served, version {model.version}: {_batching(model)}.\n")
        for line in _tensors(model.backend.signature):
            print(f"  {line}")
        print()
    print(f"  REST  {url}")
    print(f"  gRPC  {_shown(served.host)}:{served.grpc_port}")
    if served.admin_port is not None:
        print(f"  admin 127.0.0.1:{served.admin_port}, REST and gRPC: load and unload")
    print()
    commands = (
        example.curl(model.backend.signature, url=url, model=model.name) for model in served.models
    )
    command = next(filter(None, commands), None)
    if command is not None:
        key = " -H 'x-api-key: KEY'" if served.guards.gate else ""
        print(f"Try it:\n\n  {command}{key}\n")
    print("Ctrl-C ends it.", flush=True)


def _inspect(settings: Settings, *, is_json: bool) -> int:
    from slipway_server.loading import load
    from slipway_server.storage.patience import Patience
    from slipway_server.terminal import ProgressBar

    patience = Patience(say=lambda line: print(line, file=sys.stderr), progress=ProgressBar())
    model = load(settings, patience)
    signature = model.backend.signature
    best_s = min(_timed(model) for _ in range(_RUNS))
    if is_json:
        specs = {
            key: [{"name": s.name, "datatype": s.datatype, "shape": s.shape} for s in found]
            for key, found in (("inputs", signature.inputs), ("outputs", signature.outputs))
        }
        fields = {
            "name": model.name,
            "platform": model.backend.platform,
            "digest": model.digest,
            "provider": asdict(model.backend.placement),
            "batchable": signature.is_batchable,
            "row_seconds": round(best_s, 7),
            **specs,
        }
        print(json.dumps(fields, indent=2))
        return 0
    print(f"model     {model.name}, {model.backend.platform}")
    print(f"digest    {model.digest}")
    print(f"batching  {_batching(model)}")
    print(f"provider  {_provider(model.backend.placement)}")
    print(f"one row   {best_s * 1e3:.3f} ms, threads: {settings.threads}")
    for line in _tensors(signature):
        print(line)
    return 0


def _profile(options: argparse.Namespace) -> int:
    from slipway_server.distributions import survey, tables

    try:
        columns = tables.read(options.data, drop=options.drop)
        made, left_out = survey.profile(columns, only=options.feature)
    except (tables.TableError, OSError, ValueError) as err:
        print(f"{PROGRAM} profile: {err}", file=sys.stderr)
        return 1
    if left_out:
        print(
            f"{len(left_out)} columns are left out, a profile has at most "
            f"{len(made.features)} features; choose with --feature",
            file=sys.stderr,
        )
    text = made.model_dump_json(indent=1, exclude_none=True) + "\n"
    if options.output is None:
        print(text, end="")
    else:
        options.output.write_text(text, encoding="utf-8")
    return 0


def _timed(model: Any) -> float:
    (row,) = model.backend.signature.probes(1)
    outputs = [spec.name for spec in model.backend.signature.outputs]
    began_s = time.perf_counter()
    model.backend.infer(row, outputs)
    return time.perf_counter() - began_s


def _provider(placement: Any) -> str:
    return f"{placement.used} ({placement.reason})" if placement.reason else str(placement.used)


def _batching(model: Any) -> str:
    if model.backend.signature.is_batchable:
        return "rows run together once requests have shown that they may"
    return "each request runs alone"


def _tensors(signature: Any) -> list[str]:
    """Inputs and outputs in columns."""
    rows = [("input", spec) for spec in signature.inputs]
    rows += [("output", spec) for spec in signature.outputs]
    width = max(len(spec.name) for _, spec in rows)
    return [
        f"{kind:<8}  {spec.name:<{width}}  {spec.datatype:<6}  {list(spec.shape)}"
        for kind, spec in rows
    ]


def _expectations(file: Path | None) -> str:
    """Read the file and name it where it makes no sense: loading would not know its name."""
    if file is None:
        return ""
    from slipway_server import expectations
    from slipway_server.core.errors import LoadError

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise LoadError(f"--expect {file} cannot be read: {err}") from err
    expectations.read(text, source=str(file))
    return text


def _uri(model: str) -> str:
    if urlsplit(model).scheme in ("http", "https", "s3", "file"):
        return model
    return Path(model).absolute().as_uri()


def _name(uri: str) -> str:
    """The last part of a path that says something: a folder's for `model.onnx` in it."""
    path = Path(urlsplit(uri).path.rstrip("/"))
    stem = path.stem if path.suffix == ".onnx" else path.name
    return path.parent.name if stem == "model" and path.parent.name else stem or "model"


def _shown(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host
