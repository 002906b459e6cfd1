"""Engines that compute an inference; only here may onnxruntime be imported."""
