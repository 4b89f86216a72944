"""The client library of Anthropic, through everything it can ask for."""

import anthropic
import pytest

TOOL = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
}


@pytest.fixture(scope="module")
def client(url, key):
    return anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)


def user(text):
    return [{"role": "user", "content": text}]


def test_a_message_as_a_whole(client, models):
    message = client.messages.create(model=models["scripted"], max_tokens=50, messages=user("Hi"), system="Be kind.")
    assert message.content[0].text == "Hello, client."
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0 and message.usage.output_tokens == 4


def test_a_message_piece_by_piece(client, models):
    with client.messages.stream(model=models["scripted"], max_tokens=50, messages=user("Hi")) as stream:
        assert "".join(stream.text_stream) == "Hello, client."
        message = stream.get_final_message()
    assert message.stop_reason == "end_turn" and message.usage.output_tokens == 4


def test_the_builtin_model_answers_and_goes_on_from_a_beginning(client, models):
    ask = {"model": models["builtin"], "max_tokens": 4, "extra_body": {"temperature": 0}}
    message = client.messages.create(**ask, messages=user("Hello"))
    assert 0 < message.usage.output_tokens <= 4
    talk = user("Name a colour.") + [{"role": "assistant", "content": "The colour is"}]
    assert client.messages.create(**ask, messages=talk).usage.output_tokens > 0


def test_tools(client, models):
    message = client.messages.create(model=models["tools"], max_tokens=50, messages=user("Weather?"), tools=[TOOL])
    assert message.stop_reason == "tool_use"
    calls = [block for block in message.content if block.type == "tool_use"]
    assert (calls[0].name, calls[0].input) == ("get_weather", {"city": "Paris"})
    result = {"type": "tool_result", "tool_use_id": calls[0].id, "content": "sunny"}
    talk = user("Weather?") + [{"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    answer = client.messages.create(model=models["scripted"], max_tokens=50, messages=talk, tools=[TOOL])
    assert answer.content[0].text == "Hello, client."


def test_streamed_tools_and_choices(client, models):
    ask = {"model": models["tools"], "max_tokens": 50, "messages": user("Weather?"), "tools": [TOOL]}
    with client.messages.stream(**ask, tool_choice={"type": "any"}) as stream:
        message = stream.get_final_message()
    assert [block.name for block in message.content if block.type == "tool_use"][0] == "get_weather"
    one = client.messages.create(**ask, tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert len([block for block in one.content if block.type == "tool_use"]) == 1
    none = client.messages.create(**ask, tool_choice={"type": "none"})
    assert none.stop_reason == "end_turn"


def test_thinking(client, models):
    ask = {"model": models["thinking"], "max_tokens": 2000, "messages": user("Why?")}
    message = client.messages.create(**ask, thinking={"type": "enabled", "budget_tokens": 1024})
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking == "Let me think." and message.content[0].signature
    with client.messages.stream(**ask, thinking={"type": "enabled", "budget_tokens": 1024}) as stream:
        blocks = [block.to_dict() for block in stream.get_final_message().content]
    assert blocks[0] == message.content[0].to_dict() and blocks[1]["text"] == "It is 42."
    assert [block.type for block in client.messages.create(**ask).content] == ["text"]


def test_json_schema(client, models):
    import json

    config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    message = client.messages.create(model=models["echo"], max_tokens=50, messages=user("Hi"), output_config=config)
    assert set(json.loads(message.content[0].text)) == {"city", "population"}


def test_stop_sequences(client, models):
    ask = {"model": models["echo"], "max_tokens": 50, "messages": user("one two three")}
    message = client.messages.create(**ask, stop_sequences=["three"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "three")


def test_count_tokens(client, models):
    short = client.messages.count_tokens(model=models["builtin"], messages=user("Hi"))
    long = client.messages.count_tokens(model=models["builtin"], messages=user("Hi " * 50), system="Be kind.")
    assert 0 < short.input_tokens < long.input_tokens


def test_models(client, models):
    assert models["echo"] in [model.id for model in client.models.list()]
    assert client.models.retrieve(models["echo"]).display_name == models["echo"]


def test_errors(client, url, models):
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="nobody", max_tokens=5, messages=user("Hi"))
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model=models["echo"], max_tokens=0, messages=user("Hi"))
    with pytest.raises(anthropic.APIStatusError):
        with client.messages.stream(model=models["faulty"], max_tokens=5, messages=user("Hi")) as stream:
            stream.get_final_message()
    stranger = anthropic.Anthropic(base_url=url, api_key="air_wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        stranger.messages.create(model=models["echo"], max_tokens=5, messages=user("Hi"))


def test_who_leaves_stops_the_work(client, models):
    with client.messages.stream(model=models["slow"], max_tokens=2000, messages=user("Hi")) as stream:
        assert next(iter(stream.text_stream))
    message = client.messages.create(model=models["slow"], max_tokens=2, messages=user("Hi"))
    assert message.stop_reason == "max_tokens"
