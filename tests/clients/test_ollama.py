"""The client library of Ollama, through everything it can ask for."""

from pathlib import Path

import ollama
import pytest

PACKAGE = Path(__file__).parents[1] / "testdata" / "parity" / "llama-bare"

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
}


@pytest.fixture(scope="module")
def client(url, key):
    return ollama.Client(host=url, headers={"Authorization": f"Bearer {key}"})


def user(text):
    return [{"role": "user", "content": text}]


def test_chat_as_a_whole(client, models):
    answer = client.chat(model=models["scripted"], messages=user("Hi"))
    assert answer.message.content == "Hello, client."
    assert answer.done and answer.done_reason == "stop"
    assert answer.prompt_eval_count > 0 and answer.eval_count == 4
    assert answer.total_duration > 0


def test_chat_piece_by_piece(client, models):
    pieces = list(client.chat(model=models["scripted"], messages=user("Hi"), stream=True))
    assert "".join(piece.message.content or "" for piece in pieces) == "Hello, client."
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_the_builtin_model_answers(client, models):
    options = {"num_predict": 4, "temperature": 0, "seed": 1}
    answer = client.generate(model=models["builtin"], prompt="Hello", options=options)
    assert 0 < answer.eval_count <= 4
    assert answer.context
    again = client.generate(model=models["builtin"], prompt="Go on", context=answer.context, options=options)
    assert again.prompt_eval_count > len(answer.context)


def test_tools(client, models):
    answer = client.chat(model=models["tools"], messages=user("Weather?"), tools=[TOOL])
    calls = [(call.function.name, dict(call.function.arguments)) for call in answer.message.tool_calls]
    assert calls[0] == ("get_weather", {"city": "Paris"})
    talk = user("Weather?") + [answer.message, {"role": "tool", "tool_name": "get_weather", "content": "sunny"}]
    assert client.chat(model=models["scripted"], messages=talk).message.content


def test_json_schema(client, models):
    import json

    answer = client.chat(model=models["echo"], messages=user("Hi"), format=SCHEMA)
    assert set(json.loads(answer.message.content)) == {"city", "population"}
    answer = client.generate(model=models["scripted"], prompt="Hi", format="json")
    assert json.loads(answer.response)["city"] == "Paris"


def test_thinking(client, models):
    answer = client.chat(model=models["thinking"], messages=user("Why?"), think=True)
    assert (answer.message.thinking, answer.message.content) == ("Let me think.", "It is 42.")
    answer = client.chat(model=models["thinking"], messages=user("Why?"), think=False)
    assert not answer.message.thinking
    with pytest.raises(ollama.ResponseError, match="does not support thinking"):
        client.chat(model=models["scripted"], messages=user("Why?"), think=True)


def test_log_probabilities(client, models):
    answer = client.chat(model=models["echo"], messages=user("Hi"), logprobs=True, top_logprobs=2)
    assert len(answer.logprobs[0].top_logprobs) == 2


def test_load_and_unload(client, models):
    name = models["echo"]
    assert client.generate(model=name, keep_alive=-1).done_reason == "load"
    assert any(model.name == f"{name}:latest" for model in client.ps().models)
    assert client.generate(model=name, keep_alive=0).done_reason == "unload"
    assert all(model.name != f"{name}:latest" for model in client.ps().models)


def test_list_show_copy_create_delete(client, models):
    name = models["echo"]
    assert f"{name}:latest" in [model.model for model in client.list().models]
    shown = client.show(name)
    assert "completion" in shown.capabilities and shown.details.format == "onnx"
    client.copy(name, "python-copy")
    progress = client.create(model="python-pirate", from_="python-copy", system="Arr", parameters={"temperature": 0})
    assert progress.status == "success"
    client.delete("python-copy")
    assert client.chat(model="python-pirate", messages=user("Hi")).message.content == "Arr Hi"
    assert "temperature" in client.show("python-pirate").parameters
    client.delete("python-pirate")
    with pytest.raises(ollama.ResponseError) as error:
        client.show("python-pirate")
    assert error.value.status_code == 404


def test_create_of_files(client):
    digests = {path.name: client.create_blob(path) for path in PACKAGE.iterdir() if path.name != "golden.json"}
    assert all(digest.startswith("sha256:") for digest in digests.values())
    opening = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    progress = client.create(
        model="python-sent:v1",
        files=digests,
        system="Be brief.",
        messages=opening,
        license="Free.",
        parameters={"num_predict": 3, "temperature": 0},
    )
    assert progress.status == "success"
    assert client.show("python-sent:v1").license == "Free."
    answer = client.generate(model="python-sent:v1", prompt="Hello", raw=True)
    assert 0 < answer.eval_count <= 3
    statuses = [line.status for line in client.create(model="python-sent:v1", files=digests, stream=True)]
    assert statuses[-1] == "success"
    client.delete("python-sent:v1")


def test_what_cannot_be_made_of_files(client, models, tmp_path):
    file = tmp_path / "weights.gguf"
    file.write_bytes(b"GGUF, or so it says")
    digest = client.create_blob(file)
    for files, reason in [
        ({"weights.gguf": digest}, "ONNX"),
        ({"model.onnx": digest}, "ONNX"),
        ({"pytorch_model.bin": digest}, "run programs"),
        ({"../model.onnx": digest}, "inside the package"),
        ({"model.onnx": "sha256:" + "0" * 64}, "send it to /api/blobs"),
    ]:
        with pytest.raises(ollama.ResponseError, match=reason) as error:
            client.create(model="python-sent", files=files)
        assert error.value.status_code == 400
    for asked, reason in [({"quantize": "q4_K_M"}, "quantize"), ({"adapters": {"a": digest}}, "adapter")]:
        with pytest.raises(ollama.ResponseError, match=reason) as error:
            client.create(model="python-sent", from_=models["echo"], **asked)
        assert error.value.status_code == 400


def test_errors(client, models):
    for call in (
        lambda: client.chat(model="nobody", messages=user("Hi")),
        lambda: list(client.chat(model="nobody", messages=user("Hi"), stream=True)),
    ):
        with pytest.raises(ollama.ResponseError) as error:
            call()
        assert error.value.status_code == 404
    with pytest.raises(ollama.ResponseError):
        list(client.chat(model=models["faulty"], messages=user("Hi"), stream=True))
    with pytest.raises(ollama.ResponseError, match="does not support embeddings"):
        client.embed(model=models["echo"], input="Hi")


def test_who_leaves_stops_the_work(client, models):
    stream = client.chat(model=models["slow"], messages=user("Hi"), stream=True)
    assert next(stream).message.content
    stream.close()
    # The model is free for the next, which ends by itself.
    answer = client.chat(model=models["slow"], messages=user("Hi"), options={"num_predict": 2})
    assert answer.done_reason == "length"


def test_without_a_key_nothing(url, models):
    with pytest.raises(ollama.ResponseError) as error:
        ollama.Client(host=url).chat(model=models["echo"], messages=user("Hi"))
    assert error.value.status_code == 401
