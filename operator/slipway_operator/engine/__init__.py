"""Decisions only: frozen values in, frozen values out.

No clock, no I/O, no randomness, no logging.
"""
