"""Certificates for the stream between routers and operator: a CA and one leaf for each side.

Only this stream trusts them. Where they are kept and when they are renewed is decided elsewhere.
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

CA_CERTIFICATE: Final = "ca.crt"
CA_KEY: Final = "ca.key"
OPERATOR_CERTIFICATE: Final = "operator.crt"
OPERATOR_KEY: Final = "operator.key"
ROUTER_CERTIFICATE: Final = "router.crt"
ROUTER_KEY: Final = "router.key"

LEAF_LIFE: Final = datetime.timedelta(days=30)
CA_LIFE: Final = datetime.timedelta(days=3650)
CLOCK_SKEW: Final = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Issuer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make(now: datetime.datetime) -> dict[str, bytes]:
    """Make a new CA and both leaves, as PEM by the file names above; `now` is aware."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("slipway router CA")
    certificate = (
        _builder(name, key, now=now, life=CA_LIFE)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    issuer = _Issuer(certificate, key)
    return {
        CA_CERTIFICATE: certificate.public_bytes(serialization.Encoding.PEM),
        CA_KEY: _pem(key),
        **_leaves(issuer, now),
    }


def renew(bundle: Mapping[str, bytes], now: datetime.datetime) -> dict[str, bytes]:
    """Make new leaves under the CA of `bundle`; routers that hold the old ones stay connected."""
    key = serialization.load_pem_private_key(bundle[CA_KEY], password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{CA_KEY} must be an EC key, as made by this module; delete the Secret")
    issuer = _Issuer(x509.load_pem_x509_certificate(bundle[CA_CERTIFICATE]), key)
    return {**bundle, **_leaves(issuer, now)}


def renew_at(bundle: Mapping[str, bytes]) -> datetime.datetime:
    """Tell when two thirds of the leaves' life are over."""
    leaves = (
        x509.load_pem_x509_certificate(bundle[file])
        for file in (OPERATOR_CERTIFICATE, ROUTER_CERTIFICATE)
    )
    return min(leaf.not_valid_after_utc for leaf in leaves) - LEAF_LIFE / 3


def server_credentials(bundle: Callable[[], Mapping[str, bytes]]) -> grpc.ServerCredentials:
    """Make the operator's side of mutual TLS: whoever has no leaf of our CA is refused.

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
        root_certificates=bundle[CA_CERTIFICATE],
    )


def _leaves(issuer: _Issuer, now: datetime.datetime) -> dict[str, bytes]:
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
            _builder(_name(dns_name), key, now=now, life=LEAF_LIFE)
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
