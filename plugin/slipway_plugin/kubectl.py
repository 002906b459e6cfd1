"""Transport: kubectl as a program. It knows flags and JSON, and nothing of rollouts.

kubectl brings every way to log in, proxies and impersonation; none of it is code here.
"""

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway_plugin.exits import PluginError

Object = dict[str, Any]

PROGRAM: Final = "kubectl"
CALL_TIMEOUT_S: Final = 30.0
WATCH_PAUSE_S: Final = 1.0  # before a watch that ended is begun again
END_S: Final = 5.0
NOT_FOUND: Final = "(NotFound)"
DENIED: Final = ("(Forbidden)", "(Unauthorized)", "You must be logged in")


@dataclass(frozen=True, slots=True)
class Failed:
    """kubectl ended with an error; `message` is what it said."""

    message: str

    @property
    def is_final(self) -> bool:
        """Whether asking again cannot help."""
        return NOT_FOUND in self.message or any(sign in self.message for sign in DENIED)


class Kubectl:
    """kubectl with the flags that choose a cluster and a namespace."""

    def __init__(self, flags: Sequence[str] = ()) -> None:
        self._flags = tuple(flags)

    def read(self, *arguments: str) -> Object:
        """Read one answer in JSON; raises PluginError with kubectl's words."""
        found = self.read_all(arguments)[0]
        if isinstance(found, Failed):
            raise PluginError(found.message)
        return found

    def read_all(self, *calls: Sequence[str]) -> list[Object | Failed]:
        """Run several calls side by side: most of each is waiting."""
        running = [self._start(*call, "--output=json") for call in calls]
        return [_parsed(_finish(process)) for process in running]

    def write(self, *arguments: str, text: str | None = None) -> str:
        """Run a call that changes something; raises PluginError with kubectl's words."""
        done = _finish(self._start(*arguments), text=text)
        if isinstance(done, Failed):
            raise PluginError(done.message)
        return done

    def watch(self, *arguments: str, timeout_s: float) -> "Watch":
        """Watch one object; use it in a with statement."""
        command = [PROGRAM, *self._flags, *arguments]
        command += ["--watch", "--output=json", "--output-watch-events"]
        return Watch(command, deadline_s=time.monotonic() + timeout_s)

    def _start(self, *arguments: str) -> "subprocess.Popen[str]":
        return _popen([PROGRAM, *self._flags, *arguments])


class Watch:
    """Objects as they change, until a deadline; a watch that ends is begun again.

    A thread reads, because time passes for those who look too.
    """

    def __init__(self, command: Sequence[str], *, deadline_s: float) -> None:
        self._command = command
        self._deadline_s = deadline_s
        self._news: queue.Queue[Object | Failed] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self._is_closing = False

    def __enter__(self) -> "Watch":
        threading.Thread(target=self._keep_reading, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closing = True
        if self._process is not None:
            self._process.terminate()

    def changes(self, *, every_s: float) -> Iterator[Object | None]:
        """Give the object at each change, and None when `every_s` went by without one.

        Ends at the deadline. Raises PluginError if the object is gone or may not be read.
        """
        while (left_s := self._deadline_s - time.monotonic()) > 0:
            try:
                news = self._news.get(timeout=min(every_s, left_s))
            except queue.Empty:
                yield None
                continue
            if isinstance(news, Failed):
                raise PluginError(news.message)
            if news.get("type") == "DELETED":
                metadata = news["object"]["metadata"]
                raise PluginError(f"{metadata.get('namespace')}/{metadata['name']} was deleted")
            if news.get("type") in ("ADDED", "MODIFIED"):
                yield news["object"]

    def _keep_reading(self) -> None:
        while not self._is_closing and time.monotonic() < self._deadline_s:
            try:
                process = self._process = _popen(self._command)
            except PluginError as error:
                self._news.put(Failed(str(error)))
                return
            if self._is_closing:  # it ended while this was being started
                process.terminate()
            assert process.stdout is not None
            assert process.stderr is not None
            with contextlib.suppress(json.JSONDecodeError):  # cut off in the middle
                for item in documents(process.stdout):
                    self._news.put(item)
            said = Failed(process.stderr.read().strip())
            process.wait()
            if said.is_final:
                self._news.put(said)
                return
            time.sleep(WATCH_PAUSE_S)


def documents(lines: Iterator[str] | Any) -> Iterator[Object]:
    """Split what kubectl prints into JSON objects: each ends with a brace at a line's beginning.

    Raises JSONDecodeError.
    """
    gathered: list[str] = []
    for line in lines:
        gathered.append(line)
        if line.rstrip("\n") == "}" or (len(gathered) == 1 and line.rstrip().endswith("}")):
            text = "".join(gathered)
            gathered = []
            yield json.loads(text)
    if "".join(gathered).strip():
        yield json.loads("".join(gathered))


def _popen(command: Sequence[str]) -> "subprocess.Popen[str]":
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
    except OSError as error:
        raise PluginError(f"cannot run {PROGRAM}: {error}; it has to be on PATH") from error


def _finish(process: "subprocess.Popen[str]", *, text: str | None = None) -> str | Failed:
    try:
        output, said = process.communicate(text, timeout=CALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate(timeout=END_S)
        return Failed(f"kubectl has not answered within {CALL_TIMEOUT_S:.0f} s")
    if process.returncode != 0:
        return Failed(said.strip() or f"kubectl ended with {process.returncode}")
    return output


def _parsed(done: str | Failed) -> Object | Failed:
    if isinstance(done, Failed):
        return done
    parsed: Object = json.loads(done) if done.strip() else {"items": []}
    return parsed
