"""Where a model's bytes come from, and whether they are the right ones."""
