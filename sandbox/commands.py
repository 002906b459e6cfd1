"""What each command of `./dev` does: ties modules together and talks to the terminal."""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sandbox import cluster, images, packages, plugin_archive, programs, toolchain, venvs
from sandbox import places as places_module
from sandbox.cluster import Cluster
from sandbox.errors import SandboxError
from sandbox.progress import Progress, step

MYPY_PACKAGES: Final = (
    "slipway_api",
    "slipway_operator",
    "slipway_server",
    "slipway_plugin",
    "sandbox",
    "bench",
)
# The quickest first, so that a broken checkout says so early.
TESTS: Final = {
    "unit": ("tests/test_house.py", "tests/unit"),
    "contract": ("tests/contract",),
    "writes": ("tests/writes",),
    "e2e": ("tests/e2e",),
    "faults": ("tests/faults",),
}
# Processes per tier. Pure tests need nothing but processors; contract tests mostly wait for real
# programs, which the tests of one file share. A cluster is for one at a time.
WORKERS: Final = {
    "unit": ("--numprocesses=2", "--dist=worksteal"),
    "contract": ("--numprocesses=3", "--dist=loadfile"),
}
TESTS_OF_ALL: Final = ("unit", "contract", "writes", "e2e")  # faults take an hour
# Extras of pyproject.toml in each file of requirements/.
LOCKS: Final = {
    "dev": ("operator", "server", "router", "dev"),
    "operator": ("operator",),
    "server": ("server",),
    "server-gpu": ("server-gpu",),
    "router": ("router",),
    "s3server": ("s3server",),
    "peer-granian": ("server", "peer-granian"),
    "peer-kserve": ("peer-kserve",),
    "peer-mlserver": ("peer-mlserver",),
    "peer-triton": ("peer-triton",),
    "build": ("build",),
    "go": ("go",),
    "lock": ("lock",),
}
PYTHON_OLDEST: Final = "3.11"
_LOCK_TIMEOUT_S: Final = 300.0


def up(arguments: argparse.Namespace) -> int:
    """Bring a cluster up."""
    made = Cluster.create(arguments.name, nodes=arguments.nodes, log=Progress())
    made.up()
    print(
        f"The cluster {arguments.name!r} is up. For kubectl and helm in this shell:\n"
        f'  eval "$(./dev env --name {shlex.quote(arguments.name)})"'
    )
    return 0


def down(arguments: argparse.Namespace) -> int:
    """Take a cluster down."""
    Cluster.create(arguments.name, log=Progress()).down()
    return 0


def status(_arguments: argparse.Namespace) -> int:
    """Say which clusters there are; 1 when one of them is not whole."""
    names = cluster.names(places_module.places())
    if not names:
        print("No cluster. `./dev up` makes one.")
    found = [Cluster.create(name) for name in names]
    for each in found:
        print(f"{each.name}: {_condition(each)}")
    return 0 if all(each.is_up() for each in found) else 1


def clean(arguments: argparse.Namespace) -> int:
    """Remove what crashes left, and with --all everything."""
    log = Progress()
    for name in cluster.names(places_module.places()):
        Cluster.create(name, log=log).clean(even_if_up=arguments.all)
    cluster.clean_orphans(log=log)
    log("nothing is left of runs that crashed")
    return 0


def env(arguments: argparse.Namespace) -> int:
    """Print what a shell needs to use the cluster."""
    found = Cluster.create(arguments.name)
    print(f"export KUBECONFIG={shlex.quote(str(found.kubeconfig))}")
    helm = toolchain.helm_folder(log=Progress())
    folders = f"{found.programs}:{helm}:{plugin_archive.ensure()}:{Path(sys.executable).parent}"
    print(f'export PATH={shlex.quote(folders)}:"$PATH"')
    return 0


def client(arguments: argparse.Namespace) -> int:
    """Become a program on the cluster's network."""
    command = list(arguments.arguments)
    if command[:1] == ["--"]:
        del command[0]
    if not command:
        raise SandboxError("say what to run: ./dev client -- CMD…")
    return _become_client(arguments.name, arguments.namespace, command)


def curl(arguments: argparse.Namespace) -> int:
    """Become curl with the address of a ModelDeployment's Service."""
    namespace, slash, name = arguments.target.partition("/")
    if not slash or not namespace or not name:
        raise SandboxError(f"{arguments.target!r} is not NAMESPACE/NAME, like ml/churn")
    packages.ensure([packages.CURL], log=Progress())
    url = f"http://{name}.{namespace}/{arguments.path.lstrip('/')}"
    command = ["curl", "--silent", "--show-error", *arguments.arguments, url]
    return _become_client(arguments.name, namespace, command)


def demo(arguments: Sequence[str]) -> int:
    """Show four model changes under load."""
    from bench import demo as demo_module  # only this command needs the training libraries

    return demo_module.main(arguments)


def bench(arguments: Sequence[str]) -> int:
    """Measure something: what `./dev bench WHAT` names."""
    match arguments[:1]:
        case ["server"]:
            from bench.server.__main__ import main
        case ["rollouts"]:
            from bench.rollouts.__main__ import main
        case _:
            raise SandboxError("say what to measure: ./dev bench server|rollouts [--help]")
    return main(arguments[1:])


def report(arguments: Sequence[str]) -> int:
    """Recompute a report from a ledger."""
    from bench import report as report_module

    return report_module.main(arguments)


def conformance(arguments: Sequence[str]) -> int:
    """Try a server against the protocol."""
    from bench.conformance import cli  # only this command needs the clients' libraries

    return cli.main(arguments)


def proof(arguments: Sequence[str]) -> int:
    """Prove something at length: what `./dev proof WHAT` names."""
    match arguments[:1]:
        case ["writes"]:
            return _python("tests.writes", *arguments[1:])
        case _:
            raise SandboxError("say what to prove: ./dev proof writes [--help]")


def test(arguments: argparse.Namespace) -> int:
    """Run tests, after installing what they need; pytest's summary comes last."""
    log = Progress()
    tiers = TESTS_OF_ALL if arguments.tier == "all" else (arguments.tier,)
    if "contract" in tiers or "writes" in tiers:
        toolchain.kube_programs(log=log)
    if "contract" in tiers:
        toolchain.helm_folder(log=log)
        venvs.ensure("s3server.txt", why="an S3 server that the model server is tried on", log=log)
    if "e2e" in tiers or "faults" in tiers:
        packages.ensure((*packages.CLUSTER, *packages.IMAGES), log=log)
        for name in images.NAMES:
            images.ensure(name, log=log)
    linted = lint(arguments) if arguments.tier == "all" else 0
    checkout = places_module.checkout()
    codes = [linted]
    for tier in tiers:
        paths = [path for path in TESTS[tier] if (checkout / path).exists()]
        options = (*WORKERS.get(tier, ()), *arguments.arguments)
        with step(f"tests: {tier}", log=log):
            codes.append(_python("pytest", *paths, *options))
    return max(codes)


def lint(_arguments: argparse.Namespace) -> int:
    """Check style, types and layers; all of them, also after one failed."""
    packages_checked = [word for name in MYPY_PACKAGES for word in ("-p", name)]
    codes = [
        _python("ruff", "check", "--quiet"),
        _python("ruff", "format", "--check", "--quiet"),
        _python("mypy", *packages_checked),
        _tool("lint-imports"),
    ]
    return max(codes)


def generate(arguments: argparse.Namespace) -> int:
    """Write the definitions and what is rendered from the chart, or check them."""
    mode = "--check" if arguments.check else "--write"
    # The manifests hold the definitions, so they come second.
    return _python("slipway_api", mode) or _python("sandbox.manifests", mode)


def plugin(arguments: argparse.Namespace) -> int:
    """Build kubectl's plugin into one file."""
    folder = plugin_archive.build(arguments.folder or places_module.checkout() / "build")
    print(f"{folder / plugin_archive.NAME} is built; with it on PATH `kubectl slipway` works")
    return 0


def lock(_arguments: argparse.Namespace) -> int:
    """Resolve versions anew where pyproject.toml asks for others, and write all hashes."""
    log = Progress()
    folder = venvs.ensure("lock.txt", why="uv resolves versions and collects hashes", log=log)
    checkout = places_module.checkout()
    for name, extras in LOCKS.items():
        output = checkout / "requirements" / f"{name}.txt"
        command: list[str | Path] = [
            folder / "bin" / "uv",
            "pip",
            "compile",
            "--universal",
            "--generate-hashes",
        ]
        command += ["--python-version", PYTHON_OLDEST, "--no-header", "--no-emit-index-url"]
        command += ["--no-annotate", "--quiet", "--output-file", output]
        for extra in extras:
            command += ["--extra", extra]
        with step(f"locking requirements/{name}.txt", log=log):
            programs.run(
                [*command, checkout / "pyproject.toml"], timeout_s=_LOCK_TIMEOUT_S, cwd=checkout
            )
    return 0


def _condition(found: Cluster) -> str:
    missing = found.missing()
    if found.is_up():
        ready = found.layout.api.nodes_ready()
        nodes = ", ".join(
            f"{node.name} {'Ready' if node.name in ready else 'not Ready'}" for node in found.nodes
        )
        return f"up ({nodes}), {len(found.pids)} processes, KUBECONFIG={found.kubeconfig}"
    if missing:
        return f"broken, these ended: {', '.join(missing)}; `./dev up` starts it anew"
    return "coming up, or left behind by a run that crashed; `./dev clean` removes the latter"


def _become_client(name: str, namespace: str, command: list[str]) -> int:
    entered = Cluster.create(name).client_command(command, namespace=namespace)
    os.execvp(entered[0], entered)


def _python(module: str, *arguments: str) -> int:
    return _run([sys.executable, "-m", module, *arguments])


def _tool(name: str) -> int:
    return _run([str(Path(sys.executable).parent / name)])


def _run(command: list[str]) -> int:
    """Run a program of the checkout with the terminal's output; no time limit of its own."""
    checkout = places_module.checkout()
    return subprocess.run(command, cwd=checkout, stdin=subprocess.DEVNULL, check=False).returncode
