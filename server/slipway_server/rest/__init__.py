"""The REST front end: translates HTTP to the core and back, decides nothing."""
