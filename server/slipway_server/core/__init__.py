"""What the server does, without any transport: tensors, signature, errors, use cases."""
