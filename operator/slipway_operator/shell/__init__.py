"""Observe, decide, act, record: the loop around the engine, and the composition root."""
