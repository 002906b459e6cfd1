"""Certificates for the stream between routers and operator: authorities and a leaf for each side.

Only this stream trusts them. The operator shows new leaves at once, while a router learns of a new
Secret within a minute or two, and either side may be first to connect. So an authority is
*announced* one turn before it issues anything, and trusted one turn after: whatever two of three
successive bundles the sides hold, they trust each other. Where bundles are kept is decided
elsewhere.
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from slipway_api import names

# Who is trusted: the issuer of the leaves, the one that is announced, the one before.
TRUST: Final = "ca.crt"
ANNOUNCED_CERTIFICATE: Final = "next-ca.crt"
ANNOUNCED_KEY: Final = "next-ca.key"
OPERATOR_CERTIFICATE: Final = "operator.crt"
OPERATOR_KEY: Final = "operator.key"
ROUTER_CERTIFICATE: Final = "router.crt"
ROUTER_KEY: Final = "router.key"

# An authority is announced, issues, and is trusted once more: two lives of a leaf in all. The rest
# is for turns that come late because no operator was there.
CA_LIVES: Final = 4
CLOCK_SKEW: Final = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Issuer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def make(now: datetime.datetime, *, life: datetime.timedelta) -> dict[str, bytes]:
    """Make everything anew, as PEM by the file names above; `now` is aware, `life` a leaf's."""
    return _bundle(_authority(now, life), now=now, life=life, before=b"")


def turn(
    bundle: Mapping[str, bytes], now: datetime.datetime, *, life: datetime.timedelta
) -> dict[str, bytes]:
    """Let the announced authority issue new leaves, announce another, forget the one before last.

    If what was announced is missing or would end before its leaves, everything is made anew:
    routers connect again once their mounted Secret has followed.
    """
    issuer = _announced(bundle)
    if issuer is None or issuer.certificate.not_valid_after_utc < now + life:
        issuer = _authority(now, life)
    trusted = _trusted(bundle)
    before = trusted[0].public_bytes(serialization.Encoding.PEM) if trusted else b""
    return _bundle(issuer, now=now, life=life, before=before)


def turn_at(bundle: Mapping[str, bytes], *, life: datetime.timedelta) -> datetime.datetime | None:
    """Tell when two thirds of the leaves' life are over, or of `life` if that is shorter.

    None: at once, something is missing or cannot be read.
    """
    if _announced(bundle) is None or not _trusted(bundle):
        return None
    due = []
    for file in (OPERATOR_CERTIFICATE, ROUTER_CERTIFICATE):
        try:
            leaf = x509.load_pem_x509_certificate(bundle[file])
        except (KeyError, ValueError):
            return None
        issued = leaf.not_valid_before_utc + CLOCK_SKEW
        due.append(issued + min(leaf.not_valid_after_utc - issued, life) * 2 / 3)
    return min(due)


def server_credentials(bundle: Callable[[], Mapping[str, bytes]]) -> grpc.ServerCredentials:
    """Make the operator's side of mutual TLS: whoever has no leaf of ours is refused.

    gRPC asks `bundle` before every handshake, on a thread of its own, and parses only what changed;
    connections that exist are left alone.
    """
    shown = bundle()

    def newer() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        current = bundle()
        if current is shown:
            return None
        shown = current
        return _configuration(current)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(shown),
        newer,  # type: ignore[arg-type]  # the stubs lack None, "no change", of gRPC's docs
        require_client_authentication=True,
    )


def _configuration(bundle: Mapping[str, bytes]) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(bundle[OPERATOR_KEY], bundle[OPERATOR_CERTIFICATE])],
        root_certificates=bundle[TRUST],
    )


def _authority(now: datetime.datetime, life: datetime.timedelta) -> _Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    # Each has a name of its own: OpenSSL looks issuers up by name.
    name = _name(f"slipway router CA {now:%Y-%m-%dT%H:%M:%S} {x509.random_serial_number():x}"[:64])
    certificate = (
        _builder(name, key, now=now, life=CA_LIVES * life)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Issuer(certificate, key)


def _bundle(
    issuer: _Issuer, *, now: datetime.datetime, life: datetime.timedelta, before: bytes
) -> dict[str, bytes]:
    announced = _authority(now, life)
    return {
        TRUST: issuer.pem + announced.pem + before,
        ANNOUNCED_CERTIFICATE: announced.pem,
        ANNOUNCED_KEY: _pem(announced.key),
        **_leaves(issuer, now=now, life=life),
    }


def _trusted(bundle: Mapping[str, bytes]) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(bundle[TRUST])
    except (KeyError, ValueError):
        return []


def _announced(bundle: Mapping[str, bytes]) -> _Issuer | None:
    try:
        certificate = x509.load_pem_x509_certificate(bundle[ANNOUNCED_CERTIFICATE])
        key = serialization.load_pem_private_key(bundle[ANNOUNCED_KEY], password=None)
    except (KeyError, ValueError):
        return None
    return _Issuer(certificate, key) if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _leaves(
    issuer: _Issuer, *, now: datetime.datetime, life: datetime.timedelta
) -> dict[str, bytes]:
    files = {}
    for dns_name, usage, certificate_file, key_file in (
        (
            names.XDS_SERVER_NAME,
            ExtendedKeyUsageOID.SERVER_AUTH,
            OPERATOR_CERTIFICATE,
            OPERATOR_KEY,
        ),
        (names.XDS_CLIENT_NAME, ExtendedKeyUsageOID.CLIENT_AUTH, ROUTER_CERTIFICATE, ROUTER_KEY),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = (
            _builder(_name(dns_name), key, now=now, life=life)
            .issuer_name(issuer.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
                critical=False,
            )
            .sign(issuer.key, hashes.SHA256())
        )
        files[certificate_file] = leaf.public_bytes(serialization.Encoding.PEM)
        files[key_file] = _pem(key)
    return files


def _builder(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    now: datetime.datetime,
    life: datetime.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
