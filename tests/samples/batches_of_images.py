"""Run batches of many sizes through a model of images, and print the MiB that it grew by.

`python -m tests.samples.batches_of_images MODEL`: a process of its own, because memory that other
tests have freed would be used again.
"""

import os
import sys
from pathlib import Path
from typing import Final

import numpy as np

from bench import costs
from slipway_server.backends import onnx as onnx_backend

SIZES: Final = (1, 2, 5, 8, 16, 20, 31, 32)


def main(path: Path) -> None:
    backend = onnx_backend.load(path, thread_count=1)
    signature = backend.signature
    name, outputs = signature.inputs[0].name, [spec.name for spec in signature.outputs]
    before = costs.memory_mib(os.getpid())
    for size in SIZES:
        backend.infer({name: np.zeros((size, 3, 112, 112), np.float32)}, outputs)
    print(costs.memory_mib(os.getpid()) - before)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
