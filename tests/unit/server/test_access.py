"""Who may ask for what: rights of paths, API keys, tokens, and the gate before all of it."""

import hashlib
import json
import time
from functools import partial

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_encode

from slipway_server.access import keys, rights, tokens
from slipway_server.access.gate import CACHE_MAX, Gate
from slipway_server.access.rights import Rejected, Right
from slipway_server.access.tokens import Issuer
from slipway_server.core.errors import ErrorKind, LoadError, ServingError

ISSUER = Issuer("https://id.test", "slipway", ("RS256", "ES256"))
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
SECRET = b"a secret of enough bytes for HS256"


def jwks(**named) -> str:
    return json.dumps({"keys": [public | {"kid": kid} for kid, public in named.items()]})


RSA_PUBLIC = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key()))
EC_PUBLIC = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key()))
KEYS = tokens.parse(jwks(first=RSA_PUBLIC, second=EC_PUBLIC), "keys")


def token(key=RSA, algorithm="RS256", header=None, **claims) -> str:
    """A token with other claims and headers, None: without; also such as no library would make."""
    now = int(time.time())
    who = {"iss": "https://id.test", "aud": "slipway", "sub": "ann"}
    fields = who | {"exp": now + 3600, "nbf": now}
    head = {"alg": algorithm, "typ": "JWT", "kid": "first"} | (header or {})
    parts = [
        base64url_encode(json.dumps({k: v for k, v in each.items() if v is not None}).encode())
        for each in (head, fields | claims)
    ]
    signed = b".".join(parts)
    signature = jwt.get_algorithm_by_name(algorithm).sign(signed, key)
    return b".".join((signed, base64url_encode(signature))).decode()


def line(name: str, key: str, *more: str) -> str:
    return " ".join((name, hashlib.sha256(key.encode()).hexdigest(), *more))


def refusal(call, *arguments) -> ErrorKind:
    with pytest.raises(ServingError) as caught:
        call(*arguments)
    assert "secret" not in caught.value.message
    return caught.value.kind


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/v2/health/live", Right.PROBE),
        ("GET", "/v2/health/ready", Right.PROBE),
        ("GET", "/metrics", Right.METRICS),
        ("GET", "/v2", Right.METADATA),
        ("GET", "/v2/models/churn", Right.METADATA),
        ("GET", "/v2/models/churn/versions/3/ready", Right.METADATA),
        ("GET", "/v2/models/churn/stats", Right.INFER),
        ("GET", "/v2/models/stats", Right.INFER),
        ("GET", "/v2/models/churn/config", Right.INFER),
        ("POST", "/v2/repository/index", Right.INFER),
        ("POST", "/v2/repository/models/churn/load", Right.ADMIN),
        ("GET", "/v2/repository/models/churn/load", Right.ADMIN),
        ("GET", "/docs", Right.INFER),
        ("GET", "/openapi.json", Right.INFER),
        ("GET", "/v1/models", Right.INFER),
        ("GET", "/nothing", Right.INFER),
        # What is almost a path that needs less.
        ("POST", "/v2/health/live", Right.INFER),
        ("GET", "/v2/health/live/", Right.INFER),
        ("GET", "//v2/health/live", Right.INFER),
        ("GET", "/V2/health/live", Right.INFER),
        ("GET", "/v2/health/live\n", Right.INFER),
        ("GET", "/v2/health/../metrics", Right.INFER),
        ("GET", "/metrics/", Right.INFER),
        ("GET", "/v2/models/churn/ready/x", Right.INFER),
    ],
)
def test_a_path_needs_what_is_written_or_the_most(method, path, right):
    assert right is rights.of_path(method, path)


@pytest.mark.parametrize(
    ("method", "right"),
    [
        ("/inference.GRPCInferenceService/ServerLive", Right.PROBE),
        ("/grpc.health.v1.Health/Check", Right.PROBE),
        ("/inference.GRPCInferenceService/ModelMetadata", Right.METADATA),
        ("/inference.GRPCInferenceService/ModelInfer", Right.INFER),
        ("/inference.GRPCInferenceService/RepositoryModelLoad", Right.ADMIN),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Right.INFER),
        ("inference.GRPCInferenceService/ServerLive", Right.INFER),
        ("/inference.GRPCInferenceService/serverlive", Right.INFER),
        ("/inference.GRPCInferenceService/ServerLive/", Right.INFER),
        ("", Right.INFER),
    ],
)
def test_a_method_is_one_to_the_letter_or_needs_the_most(method, right):
    assert right is rights.of_method(method)


def test_a_key_grants_what_its_line_says():
    text = f"# of the shop\n{line('shop', 'k1')}\n\n{line('ops', 'k2', 'metrics,admin')}\n"

    found = keys.parse(text, "keys")

    assert keys.find(found, "k1") == rights.Grant("shop", frozenset({Right.INFER}))
    assert keys.find(found, "k2").rights == {Right.METRICS, Right.ADMIN}
    assert keys.find(found, "k3") is None
    assert keys.find(found, found[0].digest.hex()) is None, "a hash is no key"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no key"),
        ("# only words\n", "holds no key"),
        ("shop secret-in-plain-text", "line 1 of keys is no key"),
        (f"\n{line('shop', 'k')} infer admin", "line 2 of keys is no key"),
        (line("shop", "k", "root"), "gives the right 'root'"),
        (line("shop", "k", "probe"), "gives the right 'probe'"),
        ("\n".join(line(f"n{i}", str(i)) for i in range(1001)), "more than 1000"),
    ],
)
def test_a_file_of_keys_that_will_not_do_is_named_and_not_told(text, words):
    with pytest.raises(LoadError, match=words) as caught:
        keys.parse(text, "keys")

    assert "secret" not in caught.value.message


def test_a_good_token_grants_inference_until_it_ends():
    grant, until_s = tokens.check(token(), KEYS, ISSUER)

    assert (grant.name, grant.rights) == ("ann", {Right.INFER})
    assert 3600 - 120 < until_s - time.time() < 3600 + 120


def test_a_scope_grants_what_it_names():
    grant, _ = tokens.check(token(scope="email slipway:metrics slipway:root"), KEYS, ISSUER)

    assert grant.rights == {Right.METRICS}


# The attack on checkers that take a public key for the secret of an HMAC.
PUBLIC_PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (token(exp=int(time.time()) - 60), "expired"),
        (token(exp=None), "lacks a claim"),
        (token(nbf=int(time.time()) + 3600), "not valid yet"),
        (token(nbf=None), "lacks a claim"),
        (token(aud="other"), "somebody else"),
        (token(aud=None), "lacks a claim"),
        (token(iss="https://evil.test"), "somebody else"),
        (token(rsa.generate_private_key(public_exponent=65537, key_size=2048)), "signature"),
        (token(None, "none"), "in a way that is not taken"),
        (token(SECRET, "HS256"), "in a way that is not taken"),
        (token(PUBLIC_PEM, "HS256"), "in a way that is not taken"),
        (token(RSA, "RS512"), "in a way that is not taken"),
        (token(EC, "ES256"), "signature is wrong|malformed|not taken"),
        (token(header={"kid": "third"}), "key is not known"),
        (token(header={"kid": None}), "key is not known|malformed"),
        (token(header={"crit": ["exp"], "exp": 1}), "extension|malformed"),
        (token(header={"crit": ["b64"], "b64": False}), "extension|malformed"),
        (token(header={"jku": "https://evil.test/keys", "kid": "evil"}), "key is not known"),
        (token(exp=10**400), "malformed|expired"),
        (token(exp="soon"), "malformed|not taken|expired"),
        (token()[:-4] + "AAAA", "signature"),
        ("..", "malformed"),
        ("a.b.c", "malformed"),
        ("a" * 9000, "too long"),
    ],
)
def test_a_token_that_is_not_for_us_is_rejected(text, words):
    found = tokens.check(text, KEYS, ISSUER)

    assert isinstance(found, Rejected)
    assert any(each in found.reason for each in words.split("|")), found.reason


def test_a_key_may_be_for_one_algorithm_or_for_each_of_its_kind():
    wide = Issuer(ISSUER.name, ISSUER.audience, ("RS256", "RS512"))
    narrow = tokens.parse(jwks(first=RSA_PUBLIC | {"alg": "RS256"}), "keys")

    assert isinstance(tokens.check(token(RSA, "RS512"), KEYS, wide), tuple)
    assert isinstance(tokens.check(token(RSA, "RS512"), narrow, wide), Rejected)


def test_a_token_signed_by_the_key_it_brings_along_is_rejected():
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key()))

    found = tokens.check(token(own, header={"jwk": public}), KEYS, ISSUER)

    assert found == Rejected("the token's signature is wrong")


def test_each_kind_of_key_checks_its_own_tokens():
    assert isinstance(tokens.check(token(EC, "ES256", {"kid": "second"}), KEYS, ISSUER), tuple)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"keys": []}', '{"keys": [{"kty": "RSA"}]}'])
def test_a_key_set_that_will_not_do_is_named(text):
    with pytest.raises(LoadError, match="my-keys"):
        tokens.parse(text, "my-keys")


def test_a_secret_in_a_key_set_is_no_key():
    with pytest.raises(LoadError, match="no public key"):
        tokens.parse(jwks(a={"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}), "keys")


@pytest.fixture
def gate():
    made = Gate(opened={Right.METRICS})
    made.use_keys(keys.parse(f"{line('shop', 'k1')}\n{line('ops', 'k2', 'admin')}", "keys"))
    made.use_tokens(partial(tokens.check, keys=KEYS, issuer=ISSUER))
    return made


@pytest.mark.parametrize(
    "fields",
    [
        [(b"authorization", b"Bearer k1")],
        [(b"authorization", b"bearer  k1 ")],
        [(b"x-api-key", b"k1")],
        [("x-api-key", "k1"), ("user-agent", "grpc")],
        [("authorization", f"Bearer {token()}")],
    ],
)
def test_a_credential_admits_wherever_it_may_stand(gate, fields):
    gate.admit(Right.INFER, fields)
    gate.admit(Right.METADATA, fields)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b"authorization", b"k1")],
        [(b"authorization", b"Basic azE6")],
        [(b"authorization", b"Bearer ")],
        [(b"x-api-key", b"")],
        [(b"x-api-key", b"k3")],
        [(b"x-api-key", b"k1\xff")],
        [(b"x-api-key", b"k1"), (b"x-api-key", b"k1")],
        [(b"x-api-key", b"k1"), (b"authorization", b"Bearer k2")],
        [(b"authorization", b"Bearer a.b.c")],
        [("authorization", "Bearer \ud800")],
    ],
)
def test_without_the_one_right_credential_nobody_is_admitted(gate, fields):
    assert refusal(gate.admit, Right.INFER, fields) is ErrorKind.UNAUTHENTICATED


def test_who_is_known_and_may_not_is_told_so(gate):
    assert refusal(gate.admit, Right.ADMIN, [("x-api-key", "k1")]) is ErrorKind.FORBIDDEN
    assert refusal(gate.admit, Right.INFER, [("x-api-key", "k2")]) is ErrorKind.FORBIDDEN
    gate.admit(Right.ADMIN, [("x-api-key", "k2")])


def test_what_is_open_needs_nothing(gate):
    gate.admit(Right.PROBE, [])
    gate.admit(Right.METRICS, [])
    assert refusal(gate.admit, Right.METADATA, []) is ErrorKind.UNAUTHENTICATED


def test_a_key_that_is_taken_back_is_not_remembered(gate):
    gate.admit(Right.INFER, [("x-api-key", "k1")])

    gate.use_keys(keys.parse(line("other", "k9"), "keys"))

    assert refusal(gate.admit, Right.INFER, [("x-api-key", "k1")]) is ErrorKind.UNAUTHENTICATED


def test_a_token_is_remembered_until_it_ends_and_no_longer():
    now_s = [time.time()]
    gate = Gate(now_s=lambda: now_s[0])
    gate.use_tokens(partial(tokens.check, keys=KEYS, issuer=ISSUER))
    fields = [("authorization", f"Bearer {token(exp=int(now_s[0]) + 2)}")]
    gate.admit(Right.INFER, fields)

    now_s[0] += 1000
    gate._check_token = None  # nothing but the memory could admit it now

    assert refusal(gate.admit, Right.INFER, fields) is ErrorKind.UNAUTHENTICATED


def test_the_memory_is_bounded_and_holds_no_stranger(gate):
    text = "\n".join(line(f"n{number}", str(number)) for number in range(1000))
    gate.use_keys(keys.parse(text, "keys"))
    for number in range(CACHE_MAX * 3):
        fields = [("x-api-key", str(number))]
        if number < 1000:
            gate.admit(Right.INFER, fields)
        else:
            refusal(gate.admit, Right.INFER, fields)

    assert len(gate._known) == 1000


def test_without_any_keys_yet_the_gate_is_closed():
    assert refusal(Gate().admit, Right.INFER, [("x-api-key", "k1")]) is (ErrorKind.UNAUTHENTICATED)
