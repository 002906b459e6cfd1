"""ModelSource: which model, where its bytes are, and what they must be."""

import re
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from slipway_api.base import ContractModel, ObjectName, cel_text
from slipway_api.expectations import Expectations
from slipway_api.rules import rule
from slipway_api.tensors import wrong

SCHEMES: Final = ("http", "https", "s3", "pvc", "file")
SCHEME_PATTERN: Final = f"^({'|'.join(SCHEMES)})://"
# Only the shape: whether a host, bucket or claim exists is for the model server to find out.
HTTP_PATTERN: Final = r"^https?://[^/]+/.+$"
S3_PATTERN: Final = r"^s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]/.+$"
PVC_PATTERN: Final = r"^pvc://[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[^/].*$"
FILE_PATTERN: Final = r"^file:///.+$"
PARENT_PATTERN: Final = r"/\.\.(/|$)"
CREDENTIALS_PATTERN: Final = r"^[a-z0-9]+://[^/]*@"
NAME_PATTERN: Final = r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$"

# They travel in a variable of the container, of which Linux takes 128 KiB, and with every pod.
EXPECTATIONS_BYTES_MAX: Final = 32 * 2**10


def _shape_cel(scheme: str, pattern: str) -> str:
    return f"!self.uri.startsWith({cel_text(scheme)}) || self.uri.matches({cel_text(pattern)})"


class ModelSource(ContractModel):
    """Which model, where its bytes are, and what they must be."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=NAME_PATTERN,
            description="Name in request paths: /v2/models/NAME/infer.",
        ),
    ]
    version: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=NAME_PATTERN,
            description="Version reported in answers and metrics.",
        ),
    ]
    uri: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2048,
            pattern="^[!-~]+$",
            description="Where the bytes are: http(s)://HOST/PATH (one file), s3://BUCKET/KEY (a"
            " file or a prefix), pvc://CLAIM/PATH (a volume), file:///PATH (in the image).",
        ),
    ]
    digest: Annotated[
        str | None,
        Field(
            pattern=r"^sha256:[0-9a-f]{64}$",
            max_length=71,
            description="sha256 of the file, or of the sorted lines 'SHA256  PATH' of a directory;"
            " checked before the model is loaded.",
        ),
    ] = None
    credentials_secret: Annotated[
        ObjectName | None,
        Field(
            description="Secret in this namespace whose keys become environment variables of the"
            " model container (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, …)."
        ),
    ] = None
    expectations: Annotated[
        Expectations | None,
        Field(
            description="What the model must show before it is ready, at most 32 KiB as JSON; more"
            " can be in expectations.json in the model's own folder, in the same form."
        ),
    ] = None

    @rule(
        f"self.uri.matches({cel_text(SCHEME_PATTERN)})",
        message="uri must begin with https://, http://, s3://, pvc:// or file://,"
        " e.g. s3://models/churn/1.3.0",
        field="uri",
    )
    def has_known_scheme(self) -> bool:
        return re.search(SCHEME_PATTERN, self.uri) is not None

    @rule(
        _shape_cel("http", HTTP_PATTERN),
        message="write http(s)://HOST/PATH with the path of one file,"
        " e.g. https://models.example.com/churn.onnx",
        field="uri",
    )
    def http_has_a_path(self) -> bool:
        return self._has_shape("http", HTTP_PATTERN)

    @rule(
        _shape_cel("s3:", S3_PATTERN),
        message="write s3://BUCKET/KEY, e.g. s3://models/churn/1.3.0",
        field="uri",
    )
    def s3_has_bucket_and_key(self) -> bool:
        return self._has_shape("s3:", S3_PATTERN)

    @rule(
        _shape_cel("pvc:", PVC_PATTERN),
        message="write pvc://CLAIM/PATH with the path inside the volume, e.g. pvc://models/churn",
        field="uri",
    )
    def pvc_has_claim_and_path(self) -> bool:
        return self._has_shape("pvc:", PVC_PATTERN)

    @rule(
        _shape_cel("file:", FILE_PATTERN),
        message="write file:///PATH with an absolute path inside the runtime's image",
        field="uri",
    )
    def file_is_absolute(self) -> bool:
        return self._has_shape("file:", FILE_PATTERN)

    @rule(
        f"!self.uri.matches({cel_text(PARENT_PATTERN)})",
        message="the path of uri may not contain '..': write it out",
        field="uri",
    )
    def stays_below_its_root(self) -> bool:
        return re.search(PARENT_PATTERN, self.uri) is None

    @rule(
        f"!self.uri.matches({cel_text(CREDENTIALS_PATTERN)})",
        message="uri may not carry credentials (USER:PASSWORD@): everybody who reads this object"
        " sees them; put them into a Secret and name it in credentialsSecret",
        field="uri",
    )
    def carries_no_credentials(self) -> bool:
        return re.search(CREDENTIALS_PATTERN, self.uri) is None

    @model_validator(mode="after")
    def _expectations_are_small(self) -> Self:
        if self.expectations is not None:
            size_bytes = len(self.expectations.to_text().encode())
            if size_bytes > EXPECTATIONS_BYTES_MAX:
                raise wrong(
                    f"{size_bytes} bytes as JSON, at most {EXPECTATIONS_BYTES_MAX} may be: put"
                    " golden requests into expectations.json in the model's folder",
                    field="expectations",
                )
        return self

    def _has_shape(self, scheme: str, pattern: str) -> bool:
        return not self.uri.startswith(scheme) or re.fullmatch(pattern, self.uri) is not None
