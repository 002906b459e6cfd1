"""Bringing a model's bytes to this machine. Does I/O; judges no content.

Each function makes one attempt and raises LoadError, permanent or not; `patience` repeats.
"""

import contextlib
import http.client
import os
import re
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Final, Protocol, assert_never

import obstore
from obstore import exceptions as obstore_errors
from obstore.store import S3Store

from slipway_server.core.errors import LoadError
from slipway_server.storage.locations import HttpFile, LocalPath, Location, S3Objects, describe

CHUNK_BYTES: Final = 2**20
STALL_S: Final = 20.0  # without a byte
_REGION_DEFAULT: Final = "us-east-1"
# RFC 9110 §15: these may pass; every other 4xx is the user's to mend.
_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})


class Progress(Protocol):
    """Who is told how a download goes; sizes in bytes."""

    def begin(self, name: str, total: int | None) -> None:
        """A download begins, or begins anew; its size may be unknown."""

    def advance(self, count: int) -> None:
        """So much more is there."""

    def end(self) -> None:
        """It is over, whether it came to its end or not."""


class Silence:
    """Nobody is told."""

    def begin(self, name: str, total: int | None) -> None:
        """See `Progress`."""

    def advance(self, count: int) -> None:
        """See `Progress`."""

    def end(self) -> None:
        """See `Progress`."""


def fetch(location: Location, directory: Path, progress: Progress) -> Path:
    """Make the model readable as a local file or directory and return its path.

    Remote bytes are written below `directory`, which is emptied first.
    """
    match location:
        case LocalPath():
            if not location.path.exists():
                raise LoadError(f"{describe(location)} does not exist")
            return location.path
        case HttpFile():
            with contextlib.closing(_Told(progress)) as told:
                return _fetch_http(location, _emptied(directory), told)
        case S3Objects():
            with contextlib.closing(_Told(progress)) as told:
                return _fetch_s3(location, _emptied(directory), told)
        case _:
            assert_never(location)


class _Told:
    """Writes what comes, and tells how it goes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.begin: Final = progress.begin
        self.close: Final = progress.end

    def write(self, chunks: Iterable[bytes], target: Path) -> None:
        with target.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                self._progress.advance(len(chunk))


def _emptied(directory: Path) -> Path:
    try:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    except OSError as err:
        raise LoadError(f"cannot write to the model directory {directory}: {err}") from err
    return directory


def _fetch_http(location: HttpFile, directory: Path, told: _Told) -> Path:
    target = directory / location.file_name
    request = urllib.request.Request(location.url, headers={"User-Agent": "slipway-server"})
    try:
        with urllib.request.urlopen(request, timeout=STALL_S) as answer:
            expected = answer.headers.get("Content-Length")
            told.begin(location.file_name, None if expected is None else int(expected))
            told.write(iter(lambda: answer.read(CHUNK_BYTES), b""), target)
    except urllib.error.HTTPError as err:
        raise _refused(location, err.code) from err
    except (OSError, http.client.HTTPException) as err:
        raise _unreachable(location, err) from err
    if expected is not None and target.stat().st_size != int(expected):
        raise LoadError(
            f"{describe(location)} broke off after {target.stat().st_size} of {expected} bytes",
            is_permanent=False,
        )
    return target


def _refused(location: Location, status: int) -> LoadError:
    if status in (404, 410):
        return LoadError(f"{describe(location)} was not found (HTTP {status}); correct the uri")
    if status in (401, 403):
        return LoadError(
            f"access to {describe(location)} was denied (HTTP {status}); name a Secret with "
            "credentials that may read it in spec.model.credentialsSecret"
        )
    is_transient = status >= 500 or status in _TRANSIENT_STATUSES
    return LoadError(f"{describe(location)} answered HTTP {status}", is_permanent=not is_transient)


def _unreachable(location: Location, err: Exception) -> LoadError:
    reason = err.reason if isinstance(err, urllib.error.URLError) else err
    is_permanent = isinstance(reason, ssl.SSLCertVerificationError)
    return LoadError(
        f"{describe(location)} could not be downloaded: {reason}", is_permanent=is_permanent
    )


def s3_store(bucket: str, environ: Mapping[str, str]) -> S3Store:
    """A store that takes credentials, endpoint and region from AWS_* variables."""
    allows_http = environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
    endpoint = environ.get("AWS_ENDPOINT_URL", "")
    if endpoint.startswith("http://") and not allows_http:
        raise LoadError(
            f"AWS_ENDPOINT_URL is {endpoint}, without TLS; set AWS_ALLOW_HTTP=true to allow that"
        )
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or _REGION_DEFAULT
    return S3Store(
        bucket,
        region=region,
        client_options={
            "allow_http": allows_http,  # options given here hide the variable
            "connect_timeout": timedelta(seconds=STALL_S),
            "read_timeout": timedelta(seconds=STALL_S),
            "timeout": timedelta(hours=6),  # of one whole object; a stall ends it much sooner
        },
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=STALL_S)},
    )


def _fetch_s3(location: S3Objects, directory: Path, told: _Told) -> Path:
    try:
        store = s3_store(location.bucket, os.environ)
        name, found = PurePosixPath(location.key).name, _sizes(store, location.key)
        if isinstance(found, int):
            told.begin(name, found)
            told.write(obstore.get(store, location.key).stream(CHUNK_BYTES), directory / name)
            return directory / name
        told.begin(name, sum(found.values()))
        for key in found:
            target = _inside(directory, key.removeprefix(location.key + "/"))
            told.write(obstore.get(store, key).stream(CHUNK_BYTES), target)
    except FileNotFoundError as err:
        raise _refused(location, 404) from err
    except (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError) as err:
        raise _refused(location, 403) from err
    except obstore_errors.BaseError as err:
        raise _s3_trouble(location, err) from err
    if not found:
        raise _refused(location, 404)
    return directory


def _s3_trouble(location: S3Objects, err: Exception) -> LoadError:
    # The store raises one type for all else, a listing's refusals included; only its text tells.
    reason = str(err).strip().splitlines()[0]
    status = re.search(r"status code: (\d{3})", reason)
    if status is not None and int(status[1]) < 500:
        return _refused(location, int(status[1]))
    return LoadError(f"{describe(location)} could not be downloaded: {reason}", is_permanent=False)


def _sizes(store: S3Store, key: str) -> int | Mapping[str, int]:
    """The size of an object, or those of all objects below the key."""
    try:
        size: int = obstore.head(store, key)["size"]
        if size > 0:
            return size
    except FileNotFoundError:
        pass
    pages = obstore.list(store, prefix=key + "/")
    sizes = {str(entry["path"]): int(entry["size"]) for page in pages for entry in page}
    return _without_markers(sizes)


def _without_markers(sizes: Mapping[str, int]) -> Mapping[str, int]:
    """Without the empty objects that some tools write for a folder."""
    folders = {str(parent) for key in sizes for parent in PurePosixPath(key).parents}
    return {key: size for key, size in sizes.items() if size > 0 or key not in folders}


def _inside(directory: Path, relative: str) -> Path:
    target = (directory / relative).resolve()
    if not target.is_relative_to(directory.resolve()):
        raise LoadError(f"the object name '{relative}' leads out of the model directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
