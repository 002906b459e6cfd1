"""A real Kubernetes cluster on one Linux machine, from package registries alone, and `./dev`."""
