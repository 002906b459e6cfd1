"""Conformance with the Open Inference Protocol V2, seen from outside: any server, by its answers.

It knows the protocol and Triton's extensions of it, and nothing of Slipway's own server.
"""
