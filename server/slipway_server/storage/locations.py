"""Model URIs, parsed: which store, and what in it. Pure; no I/O."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never
from urllib.parse import unquote, urlsplit

from slipway_server.core.errors import LoadError

FORMS = "http(s)://HOST/FILE, s3://BUCKET/KEY or file:///PATH"


@dataclass(frozen=True, slots=True)
class HttpFile:
    """One file behind a URL; query strings (presigned URLs) are kept."""

    url: str
    file_name: str


@dataclass(frozen=True, slots=True)
class S3Objects:
    """One object, or all objects under `key/`."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class LocalPath:
    """A file or directory of a volume or of the image itself."""

    path: Path


Location = HttpFile | S3Objects | LocalPath


def parse(uri: str) -> Location:
    """Tell where a model lies; LoadError says which forms there are.

    >>> parse("s3://models/churn/1.3.0/")
    S3Objects(bucket='models', key='churn/1.3.0')
    """
    parts = urlsplit(uri)
    match parts.scheme:
        case "http" | "https" if parts.hostname and parts.path.strip("/"):
            return HttpFile(uri, Path(unquote(parts.path)).name)
        case "s3" if parts.netloc and parts.path.strip("/"):
            return S3Objects(parts.netloc, parts.path.strip("/"))
        case "file" if not parts.netloc and parts.path.startswith("/"):
            return LocalPath(Path(unquote(parts.path)))
        case _:
            raise LoadError(f"the model uri '{shown(uri)}' is not one of {FORMS}")


def shown(uri: str) -> str:
    """A URI as it may be written to logs: without user, password and query (signatures)."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def describe(location: Location) -> str:
    """The location in one word for messages, safe to log."""
    match location:
        case HttpFile():
            return shown(location.url)
        case S3Objects():
            return f"s3://{location.bucket}/{location.key}"
        case LocalPath():
            return f"file://{location.path}"
        case _:
            assert_never(location)
