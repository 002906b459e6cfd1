"""What a person would write to serve a model of the suite with each peer, as their documents show.

Each serves all inputs and outputs of one ONNX file, gives the outputs that are asked for, and
tells what the model or the conversion of the data refuses by the error that the peer has for bad
requests: without that, each peer would answer 500, and the program would be to blame.
"""

from typing import Final

KSERVE: Final = """
import struct, sys
import numpy as np, onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelServer
from kserve.errors import InvalidInput
from kserve.utils.numpy_codec import from_np_dtype
from kserve.utils.utils import generate_uuid, get_predict_input, get_predict_response
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

NAMES = {"float": "FP32", "double": "FP64", "float16": "FP16", "string": "BYTES"}
name, path, http_port, grpc_port = sys.argv[1:]

def described(tensor):
    kind = tensor.type.removeprefix("tensor(").removesuffix(")")
    shape = [size if isinstance(size, int) else -1 for size in tensor.shape]
    return {"name": tensor.name, "datatype": NAMES.get(kind, kind.upper()), "shape": shape}

def text(element):  # raw elements are bytes, those of JSON are text; ONNX Runtime wants text
    return element.decode() if isinstance(element, bytes) else element

def array(tensor):
    found = tensor.as_numpy()
    return np.vectorize(text, otypes=[object])(found) if tensor.datatype == "BYTES" else found

def fed(inputs):
    feed = {each.name: array(each) for each in inputs}
    if len(feed) < len(inputs):
        raise ValueError("an input is given twice")
    return feed

class Onnx(Model):
    def __init__(self):
        super().__init__(name)
        self.session = onnxruntime.InferenceSession(path)
        self.ready = True

    async def get_input_types(self):
        return [described(each) for each in self.session.get_inputs()]

    async def get_output_types(self):
        return [described(each) for each in self.session.get_outputs()]

    def predict_rows(self, payload):  # as V1 has them
        try:
            (tensor,) = self.session.get_inputs()
            rows = get_predict_input(payload).astype(np.float32)
            (found, *_) = self.session.run(None, {tensor.name: rows})
        except (InvalidArgument, ValueError, TypeError, KeyError) as error:
            raise InvalidInput(str(error)) from error
        return get_predict_response(payload, found, name)

    async def predict(self, payload, headers=None, response_headers=None):
        if isinstance(payload, dict):
            return self.predict_rows(payload)
        names = [each.name for each in payload.request_outputs or self.session.get_outputs()]
        try:
            arrays = self.session.run(names, fed(payload.inputs))
        except (InvalidArgument, ValueError, TypeError, OverflowError, struct.error) as error:
            raise InvalidInput(str(error)) from error
        outputs = []
        for each, found in zip(names, arrays):
            output = InferOutput(each, list(found.shape), from_np_dtype(found.dtype))
            output.set_data_from_numpy(found, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            payload.id or generate_uuid(), name, outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )

ModelServer(http_port=int(http_port), grpc_port=int(grpc_port), workers=1).start([Onnx()])
"""

# The codecs give outputs of one dimension a second one, of 1: the shape is set after them.
MLSERVER: Final = """
import numpy as np, onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import Datatype, InferenceResponse, MetadataTensor
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

NAMES = {"float": "FP32", "double": "FP64", "float16": "FP16", "string": "BYTES"}

def described(tensor):
    kind = tensor.type.removeprefix("tensor(").removesuffix(")")
    shape = [size if isinstance(size, int) else -1 for size in tensor.shape]
    return MetadataTensor(name=tensor.name, datatype=NAMES.get(kind, kind.upper()), shape=shape)

def array(tensor):
    if Datatype(tensor.datatype) == Datatype.BYTES:
        return np.array(StringCodec.decode_input(tensor), object).reshape(tensor.shape)
    return NumpyCodec.decode_input(tensor)

def fed(inputs):
    feed = {each.name: array(each) for each in inputs}
    if len(feed) < len(inputs):
        raise ValueError("an input is given twice")
    return feed

def output(name, found):
    if found.dtype == object:
        made = StringCodec.encode_output(name, found.ravel().tolist())
    else:
        made = NumpyCodec.encode_output(name, found)
    made.shape = list(found.shape)
    return made

class Onnx(MLModel):
    async def load(self):
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri)
        self.inputs = [described(each) for each in self.session.get_inputs()]
        self.outputs = [described(each) for each in self.session.get_outputs()]
        return True

    async def predict(self, payload):
        names = [each.name for each in payload.outputs or self.session.get_outputs()]
        try:
            arrays = self.session.run(names, fed(payload.inputs))
        except (InvalidArgument, ValueError, TypeError, OverflowError) as error:
            raise InferenceError(str(error)) from error
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[output(name, found) for name, found in zip(names, arrays)],
        )
"""

# BF16 has no numpy type: the backend hands it on by DLPack, and a copy needs no ONNX Runtime.
TRITON: Final = """
import sys
sys.path.insert(0, {packages!r})  # its interpreter looks at no variable
import numpy as np, onnxruntime
import triton_python_backend_utils as pb
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

def array(tensor):
    found = tensor.as_numpy()
    if found.dtype != object:
        return found
    return np.array([each.decode() for each in found.ravel()], object).reshape(found.shape)

def output(name, found):
    if found.dtype != object:
        return pb.Tensor(name, found)
    return pb.Tensor(name, np.array([each.encode() for each in found], object))

class TritonPythonModel:
    def initialize(self, args):
        self.session = onnxruntime.InferenceSession({path!r})

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        if {is_bf16}:
            (tensor,) = request.inputs()
            return pb.InferenceResponse([pb.Tensor.from_dlpack("out_BF16", tensor.to_dlpack())])
        asked = request.requested_output_names()  # a set, without the order in the request
        names = [each.name for each in self.session.get_outputs() if each.name in asked]
        try:
            feed = {{each.name(): array(each) for each in request.inputs()}}
            arrays = self.session.run(names, feed)
        except (InvalidArgument, ValueError) as error:
            refusal = pb.TritonError(str(error), pb.TritonError.INVALID_ARG)
            return pb.InferenceResponse(error=refusal)
        return pb.InferenceResponse([output(*each) for each in zip(names, arrays)])
"""
