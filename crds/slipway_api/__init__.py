"""The contract between users, operator, router and model server.

Everything that two programs must agree on stands here once: kinds, labels, ports, headers,
metric names, conditions and reasons. It imports nobody else of this repository; `names` needs
only the standard library.
"""
