"""What a person would write to serve an ONNX model with each peer, as their documents show it.

Each serves the model `model` under the paths of the Open Inference Protocol, with one thread of
ONNX Runtime and no access log.
"""

from typing import Final

# Thirty lines: pydantic's lists, a plain `def` in FastAPI's thread pool.
NAIVE: Final = """
import sys
from typing import Any
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

class Tensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    data: list[float]

class Request(BaseModel):
    inputs: list[Tensor]

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
app = FastAPI()

@app.get("/v2/health/ready")
def ready():
    return {"ready": True}

@app.post("/v2/models/model/infer")
def infer(request: Request):
    feed = {i.name: np.array(i.data, np.float32).reshape(i.shape) for i in request.inputs}
    found = zip(session.get_outputs(), session.run(None, feed))
    return {"outputs": [
        {"name": o.name, "datatype": "FP32", "shape": list(a.shape), "data": a.ravel().tolist()}
        for o, a in found
    ]}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
"""

KSERVE: Final = """
import sys
import numpy as np, onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelServer

class Onnx(Model):
    def __init__(self):
        super().__init__("model")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options)
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        feed = {i.name: i.as_numpy() for i in payload.inputs}
        (y,) = self.session.run(["y"], feed)
        output = InferOutput("y", list(y.shape), "FP32")
        output.set_data_from_numpy(y, binary_data=bool(payload.use_binary_outputs))
        return InferResponse(payload.id or "1", "model", [output])

ModelServer(
    http_port=int(sys.argv[2]), grpc_port=int(sys.argv[3]), workers=1,
    enable_latency_logging=False, access_log_format=None,
).start([Onnx()])
"""

# Ours extends uvicorn; here the same path from a body to an answer is an RSGI application.
GRANIAN: Final = """
import asyncio, os
from pathlib import Path
from prometheus_client import CollectorRegistry
from slipway_server.attempts import Attempts
from slipway_server.backends import onnx
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.registry import Model, Registry
from slipway_server.core.workers import Workers
from slipway_server.metrics import Metrics
from slipway_server.rest.infer import Inference, InferPath

class App:
    def __rsgi_init__(self, loop):
        self.loop = loop
        loop.call_soon(self.begin)

    def begin(self):
        registry = Registry()
        model = Model("model", "1", onnx.load(Path(os.environ["MODEL"]), thread_count=1))
        registry.publish([model])
        registry.settle()
        labels = {"namespace": "", "deployment": "", "revision": ""}
        dataplane = Dataplane(registry, Workers(self.loop, thread_count=2))
        attempts = Attempts(
            Metrics(CollectorRegistry(), labels), None, known=dataplane.named
        )
        self.path = InferPath(dataplane, attempts, body_bytes_max=2**26)

    async def __rsgi__(self, scope, protocol):
        target = self.path.target(scope.path.encode())
        if target is None:
            protocol.response_empty(200, [])
            return
        headers = {name.encode(): value.encode() for name, value in scope.headers.items()}
        body = await protocol()
        done = self.loop.create_future()
        inference = Inference(self.path, target, headers)
        inference.run(body, done.set_result)
        answer = await done
        content = answer.content
        pairs = (content.content_type, *content.headers, *answer.headers)
        protocol.response_bytes(
            answer.status, [(k.decode(), v.decode()) for k, v in pairs], content.body
        )
        inference.ended(answer.status)

app = App()
"""

MLSERVER: Final = """
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Onnx(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload):
        feed = {i.name: NumpyCodec.decode_input(i) for i in payload.inputs}
        (y,) = self.session.run(["y"], feed)
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("y", y)]
        )
"""

TRITON: Final = """
import sys
sys.path.insert(0, {packages!r})  # its interpreter looks at no variable
import onnxruntime
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession({path!r}, options)

    def execute(self, requests):
        import numpy as np
        rows = [pb.get_input_tensor_by_name(r, "x").as_numpy() for r in requests]
        (y,) = self.session.run(["y"], {{"x": np.concatenate(rows) if len(rows) > 1 else rows[0]}})
        answers, first = [], 0
        for row in rows:
            part = y[first : first + len(row)]
            first += len(row)
            answers.append(pb.InferenceResponse([pb.Tensor("y", part)]))
        return answers
"""

TRITON_CONFIG: Final = """
name: "model"
backend: "python"
max_batch_size: 32
input [{{ name: "x" data_type: TYPE_FP32 dims: {inputs} }}]
output [{{ name: "y" data_type: TYPE_FP32 dims: [ -1 ] }}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
{batching}
"""
