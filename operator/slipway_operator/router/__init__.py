"""The first process of a router pod: starts Envoy, answers probes, drains before it stops."""
