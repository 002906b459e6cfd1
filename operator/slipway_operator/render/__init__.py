"""From decisions to Kubernetes objects and Envoy resources: pure, whole every time."""
