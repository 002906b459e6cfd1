"""Certificates of the stream between routers and operator."""

import datetime
import itertools

import pytest
from cryptography import x509
from cryptography.x509 import DNSName, SubjectAlternativeName

from slipway_api import names
from slipway_operator.adapters import certificates

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


LIFE = datetime.timedelta(days=30)
TURN = datetime.timedelta(days=20)


@pytest.fixture(scope="module")
def bundle() -> dict[str, bytes]:
    return certificates.make(NOW, life=LIFE)


def _leaves(bundle: dict[str, bytes]) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(bundle[f"{who}.crt"]) for who in ("operator", "router")]


def _is_trusted(leaf: x509.Certificate, bundle: dict[str, bytes]) -> bool:
    issuers = x509.load_pem_x509_certificates(bundle["ca.crt"])
    return any(issuer.subject == leaf.issuer for issuer in issuers)


def _turned(bundle: dict[str, bytes], count: int) -> dict[str, bytes]:
    for number in range(count):
        bundle = certificates.turn(bundle, NOW + (number + 1) * TURN, life=LIFE)
    return bundle


def test_routers_find_their_files_in_the_secret(bundle: dict[str, bytes]) -> None:
    assert {"ca.crt", "router.crt", "router.key"} < set(bundle)


@pytest.mark.parametrize(
    ("index", "dns_name"), [(0, names.XDS_SERVER_NAME), (1, names.XDS_CLIENT_NAME)]
)
def test_leaves_are_issued_for_their_side(
    bundle: dict[str, bytes], index: int, dns_name: str
) -> None:
    leaf = _leaves(bundle)[index]

    leaf.verify_directly_issued_by(x509.load_pem_x509_certificates(bundle["ca.crt"])[0])
    subjects = leaf.extensions.get_extension_for_class(SubjectAlternativeName).value
    assert [dns_name] == subjects.get_values_for_type(DNSName)
    assert NOW + LIFE == leaf.not_valid_after_utc


def test_a_turn_is_due_after_two_thirds(bundle: dict[str, bytes]) -> None:
    assert NOW + TURN == certificates.turn_at(bundle, life=LIFE)


def test_a_shorter_life_is_heeded_at_once(bundle: dict[str, bytes]) -> None:
    day = datetime.timedelta(days=1)

    assert NOW + day * 2 / 3 == certificates.turn_at(bundle, life=day)


def test_bundles_of_neighbouring_turns_trust_each_other(bundle: dict[str, bytes]) -> None:
    bundles = [bundle]
    for count in range(1, 4):
        bundles.append(certificates.turn(bundles[-1], NOW + count * TURN, life=LIFE))

    for before, after in itertools.pairwise(bundles):
        assert all(_is_trusted(leaf, after) for leaf in _leaves(before))
        assert all(_is_trusted(leaf, before) for leaf in _leaves(after))


def test_an_authority_is_forgotten_after_two_turns(bundle: dict[str, bytes]) -> None:
    assert not any(_is_trusted(leaf, _turned(bundle, 2)) for leaf in _leaves(bundle))


def test_authorities_outlive_their_leaves(bundle: dict[str, bytes]) -> None:
    for count in range(3):
        turned = _turned(bundle, count)
        issuers = x509.load_pem_x509_certificates(turned["ca.crt"])
        ends = [issuer.not_valid_after_utc for issuer in issuers[:2]]
        assert max(leaf.not_valid_after_utc for leaf in _leaves(turned)) <= min(ends)


@pytest.mark.parametrize("missing", ["ca.crt", "next-ca.crt", "next-ca.key", "router.crt"])
def test_what_is_missing_or_unreadable_is_made_at_once(
    bundle: dict[str, bytes], missing: str
) -> None:
    rest = {file: data for file, data in bundle.items() if file != missing}
    garbled = {**bundle, missing: b"nothing of this kind"}

    for broken in (rest, garbled):
        assert certificates.turn_at(broken, life=LIFE) is None
        made = certificates.turn(broken, NOW, life=LIFE)
        assert NOW + TURN == certificates.turn_at(made, life=LIFE)


def test_an_operator_that_was_away_for_long_makes_everything_anew(
    bundle: dict[str, bytes],
) -> None:
    late = NOW + 4 * LIFE

    made = certificates.turn(bundle, late, life=LIFE)

    assert late + TURN == certificates.turn_at(made, life=LIFE)
    assert not any(_is_trusted(leaf, bundle) for leaf in _leaves(made))
