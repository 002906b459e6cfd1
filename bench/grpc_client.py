"""One inference over gRPC as a program of its own, to be run inside the cluster's network.

`python grpc_client.py HOST:PORT MODEL [AUTHORITY [NAME=VALUE…]]`, the pairs being metadata and an
empty authority none, prints as JSON what `bench.scene.Answer` has.
"""

import json
import sys
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2

METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
TIMEOUT_S: Final = 20.0
VALUES: Final = (1.0, -2.5)


def main(target: str, model: str, authority: str = "", *pairs: str) -> None:
    """Ask once; whatever comes is printed."""
    request = service_pb2.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="x", datatype="FP32")
    tensor.shape.extend([1, len(VALUES)])
    tensor.contents.fp32_contents.extend(VALUES)
    metadata = [(name, value) for name, _, value in (pair.partition("=") for pair in pairs)]
    options = [("grpc.default_authority", authority)] if authority else []
    with grpc.insecure_channel(f"dns:///{target}", options=options) as channel:
        infer: Any = channel.unary_unary(
            METHOD,
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelInferResponse.FromString,
        )
        try:
            answer, call = infer.with_call(request, timeout=TIMEOUT_S, metadata=metadata)
            status, body = "OK", str(answer)
        except grpc.RpcError as error:
            call = error
            status, body = call.code().name, call.details() or ""
        headers = dict((*(call.initial_metadata() or ()), *(call.trailing_metadata() or ())))
    revision = headers.get("x-slipway-revision", "")
    is_static = headers.get("x-slipway-static") == "true"
    told = {"status": status, "revision": revision, "body": body, "is_static": is_static}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
