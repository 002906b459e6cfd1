"""The demo and its measurements: real models, real load, and a ledger that proves what happened."""
