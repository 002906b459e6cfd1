"""Certificates of the stream between routers and operator."""

import datetime

import pytest
from cryptography import x509
from cryptography.x509 import DNSName, SubjectAlternativeName

from slipway_api import names
from slipway_operator.adapters import certificates

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def bundle() -> dict[str, bytes]:
    return certificates.make(NOW)


def _load(bundle: dict[str, bytes], file: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(bundle[file])


def test_bundle_has_the_keys_of_the_secret(bundle: dict[str, bytes]) -> None:
    expected = {f"{who}.{what}" for who in ("ca", "operator", "router") for what in ("crt", "key")}

    assert expected == set(bundle)


@pytest.mark.parametrize(
    ("file", "dns_name"),
    [("operator.crt", names.XDS_SERVER_NAME), ("router.crt", names.XDS_CLIENT_NAME)],
)
def test_leaves_are_issued_by_the_ca_for_their_side(
    bundle: dict[str, bytes], file: str, dns_name: str
) -> None:
    leaf = _load(bundle, file)

    leaf.verify_directly_issued_by(_load(bundle, "ca.crt"))
    subjects = leaf.extensions.get_extension_for_class(SubjectAlternativeName).value
    assert [dns_name] == subjects.get_values_for_type(DNSName)
    assert NOW + datetime.timedelta(days=30) == leaf.not_valid_after_utc


def test_renewal_is_due_after_two_thirds(bundle: dict[str, bytes]) -> None:
    assert NOW + datetime.timedelta(days=20) == certificates.renew_at(bundle)


def test_renewed_leaves_are_new_and_of_the_same_ca(bundle: dict[str, bytes]) -> None:
    later = NOW + datetime.timedelta(days=20)

    renewed = certificates.renew(bundle, later)

    assert bundle["ca.crt"] == renewed["ca.crt"]
    _load(renewed, "router.crt").verify_directly_issued_by(_load(bundle, "ca.crt"))
    assert later + datetime.timedelta(days=20) == certificates.renew_at(renewed)
