"""Schemathesis: requests made up from the description, to every operation of all four families.

Answers must have a documented content type and the documented form, and never be a defect (5xx).
The examples are few and always the same, so that this takes a minute and fails for everybody alike.
"""

import os

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

URL = os.environ["AIRUNNER_TEST_URL"]
KEY = os.environ["AIRUNNER_TEST_KEY"]

# Streams without an end, and what would reach out to the internet or end the daemon.
WITHOUT = ["/api/v1/events", "/api/v1/jobs/{id}/events", "/api/v1/llm/stream"]

# The key is given below; made up ones would only be counted as guesses and refused.
CONFIG = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})

schema = schemathesis.openapi.from_url(f"{URL}/openapi.json", config=CONFIG).exclude(path=WITHOUT)


@schema.parametrize()
@settings(
    max_examples=int(os.environ.get("AIRUNNER_TEST_EXAMPLES", "8")),
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case):
    answer = case.call(base_url=URL, headers={"Authorization": f"Bearer {KEY}"}, timeout=300)
    assert answer.status_code not in (401, 403), "the key is good"
    assert answer.status_code != 405, "it is described and not there"
    # Refusals for want of room, and of what is not built in, are no defects.
    if answer.status_code in (501, 503, 507):
        return
    case.validate_response(
        answer, checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
    )
