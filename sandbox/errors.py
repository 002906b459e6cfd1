"""The sandbox's one kind of failure: it carries a sentence for the person at the terminal."""


class SandboxError(Exception):
    """Something the sandbox needs is missing or failed; the message says what to do."""
