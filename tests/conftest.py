"""No test fails for the time that one example took: machines that run tests are slow at times."""

from hypothesis import settings


def pytest_configure() -> None:
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")
