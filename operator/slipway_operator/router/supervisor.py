"""The life of the router's processes: Envoy started, watched, drained and ended.

Signals are taken one by one from a blocked set, so that nothing here runs inside a handler. The
router is process 1 of its container: it also reaps whatever else is left to it.
"""

import json
import logging
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from slipway_operator.router.admin import Admin, AdminError
from slipway_operator.router.bootstrap import admin_socket, bootstrap, secrets
from slipway_operator.router.drain import Drain
from slipway_operator.router.health import HealthServer
from slipway_operator.router.settings import ENVOY_LEVELS, Settings

SIGNALS: Final = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT})
TICK_S: Final = 0.25  # how often a drain looks
IDLE_TICK_S: Final = 60.0  # signals wake us at once, so otherwise rarely
END_LIMIT_S: Final = 10.0  # from SIGTERM to SIGKILL for Envoy

_log = logging.getLogger(__name__)


def run(settings: Settings, environment: Mapping[str, str]) -> int:
    """Run one router to its end; returns the exit code: 0 after a drain, else Envoy's own."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    supervisor = Supervisor(settings)
    supervisor.start(environment)
    return supervisor.wait()


class Supervisor:
    """Watches one Envoy process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = Admin(admin_socket(settings))
        self._health = HealthServer(self._admin, lambda: self._exit_code is None)
        self._pid = 0
        self._exit_code: int | None = None
        self._drain: Drain | None = None
        self._kill_at_s: float | None = None

    def start(self, environment: Mapping[str, str]) -> None:
        """Write the configuration, start Envoy, answer probes."""
        run_dir = self._settings.run_dir
        run_dir.mkdir(parents=True, exist_ok=True)
        # A socket left by a killed predecessor would make Envoy refuse to start.
        admin_socket(self._settings).unlink(missing_ok=True)
        for file, content in secrets(self._settings).items():
            _write(run_dir / file, json.dumps(content))
        configuration = run_dir / "envoy.json"
        _write(configuration, json.dumps(bootstrap(self._settings), indent=1))
        self._pid = os.posix_spawn(
            self._settings.envoy,
            self._command(configuration),
            dict(environment),
            setsigmask=(),
            setsigdef=SIGNALS,
        )
        port = self._health.start(self._settings.health_address, self._settings.health_port)
        _log.info("envoy runs as process %d, health is answered on port %d", self._pid, port)

    def wait(self) -> int:
        """React to signals until Envoy has ended."""
        while True:
            is_busy = self._drain is not None or self._kill_at_s is not None
            received = signal.sigtimedwait(SIGNALS, TICK_S if is_busy else IDLE_TICK_S)
            self._reap()
            if self._exit_code is not None:
                self._health.stop()
                return self._result(self._exit_code)
            if received is not None and received.si_signo in (signal.SIGTERM, signal.SIGINT):
                self._begin_drain()
            self._look()

    def _command(self, configuration: Path) -> list[str]:
        command = [
            str(self._settings.envoy),
            *("--config-path", str(configuration)),
            *("--log-level", ENVOY_LEVELS[self._settings.log_level]),
            "--disable-hot-restart",
        ]
        if self._settings.concurrency is not None:
            command += ["--concurrency", str(self._settings.concurrency)]
        return command

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._exit_code = os.waitstatus_to_exitcode(status)

    def _result(self, exit_code: int) -> int:
        if self._kill_at_s is not None:
            _log.info("envoy has ended as asked")
            return 0
        _log.error("envoy has ended by itself with %d; the router ends too", exit_code)
        # A shell's convention for death by a signal; 0 would look like a finished drain.
        return 128 - exit_code if exit_code < 0 else exit_code or 1

    def _begin_drain(self) -> None:
        if self._drain is not None or self._kill_at_s is not None:
            return
        try:
            self._admin.fail_health()
            traffic = self._admin.traffic()
        except AdminError as error:
            _log.warning("cannot drain, envoy is told to end at once: %s", error)
            self._end()
            return
        self._drain = Drain.begin(
            traffic,
            now_s=time.monotonic(),
            quiet_s=self._settings.drain_quiet_s,
            longest_s=self._settings.drain_max_s,
        )
        _log.info("draining: %d requests in flight", traffic.requests_active)

    def _look(self) -> None:
        now_s = time.monotonic()
        if self._kill_at_s is not None:
            if now_s >= self._kill_at_s:
                os.kill(self._pid, signal.SIGKILL)
            return
        if self._drain is None:
            return
        try:
            self._drain = self._drain.seen(self._admin.traffic(), now_s=now_s)
        except AdminError as error:
            _log.warning("cannot see what is in flight: %s", error)
        if self._drain.is_over(now_s):
            active = self._drain.last.requests_active
            _log.info("drained after %.1f s, %d left", now_s - self._drain.began_at_s, active)
            self._end()

    def _end(self) -> None:
        self._kill_at_s = time.monotonic() + END_LIMIT_S
        os.kill(self._pid, signal.SIGTERM)


def _write(path: Path, text: str) -> None:
    """Replace a file in one step: whoever watches it never reads half of it."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    draft.replace(path)
