"""The probes, and that what the scripts are given is there."""

import httpx


def test_probes_need_no_key(url):
    for path in ("/health", "/live", "/ready", "/version"):
        answer = httpx.get(url + path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == "application/json"


def test_there_is_a_key_and_every_model(key, models):
    assert isinstance(key, str)
    assert set(models) == {"builtin", "echo", "scripted", "tools", "thinking", "slow", "faulty"}
