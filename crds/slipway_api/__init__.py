"""The contract between users, operator, router and model server.

Everything that two programs must agree on stands here once: kinds, labels, ports, headers,
metrics, lines of logs, conditions and reasons. It imports nobody else of this repository; `names`,
`metrics` and `logs` need only the standard library.
"""
