"""What every test of a client is given: where a daemon runs, its key, and its models."""

import os

import pytest


@pytest.fixture(scope="session")
def url() -> str:
    """Such as http://127.0.0.1:40000, without a slash at the end."""
    return os.environ["AIRUNNER_TEST_URL"]


@pytest.fixture(scope="session")
def key() -> str:
    return os.environ["AIRUNNER_TEST_KEY"]


@pytest.fixture(scope="session")
def models() -> dict[str, str]:
    """Names of the models by what they do; README.md lists them."""
    prefix = "AIRUNNER_TEST_MODEL_"
    return {
        name.removeprefix(prefix).lower(): value for name, value in os.environ.items() if name.startswith(prefix)
    }
