"""The certificates of a cluster: one authority and a leaf for each of its parts.

Knows X.509 and the names that Kubernetes gives a meaning to; it starts nothing.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME: Final = datetime.timedelta(days=365)
_CLOCK_SKEW: Final = datetime.timedelta(minutes=5)
_KEY_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate to make. Kubernetes reads the user from `name`, the groups from `groups`."""

    file: str
    name: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """The PEM files of a certificate and its key."""

    certificate: Path
    key: Path


def pair(folder: Path, name: str) -> Pair:
    """Return where the certificate called `name` lies in `folder`."""
    return Pair(folder / f"{name}.crt", folder / f"{name}.key")


def write(folder: Path, leaves: Sequence[Leaf], *, now: datetime.datetime) -> None:
    """Write an authority (`ca`), its leaves and the service accounts' signing key (`sa`)."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox-ca")])
    authority = (
        _builder(authority_name, authority_name, now=now)
        .public_key(authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    _write_pair(pair(folder, "ca"), authority, authority_key)
    for leaf in leaves:
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _leaf(leaf, authority_name, now=now).public_key(key.public_key())
        _write_pair(pair(folder, leaf.file), signed.sign(authority_key, hashes.SHA256()), key)
    # RSA, because every client library that checks service account tokens knows RS256.
    account_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_secret(folder / "sa.key", _key_pem(account_key))


def _leaf(leaf: Leaf, issuer: x509.Name, *, now: datetime.datetime) -> x509.CertificateBuilder:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in leaf.groups]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, leaf.name))
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = _builder(x509.Name(attributes), issuer, now=now)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if leaf.hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in leaf.hosts])
        builder = builder.add_extension(names, critical=False)
    return builder


def _builder(
    subject: x509.Name, issuer: x509.Name, *, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_pair(
    files: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    _write_secret(files.key, _key_pem(key))
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=_KEY_MODE)
    path.write_bytes(content)
