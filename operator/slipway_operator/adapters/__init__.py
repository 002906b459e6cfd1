"""Everything that does I/O. Adapters decide nothing."""
