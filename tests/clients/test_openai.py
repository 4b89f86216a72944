"""The API as the `openai` library sees it."""

import json

import httpx
import openai
import pytest
from pydantic import BaseModel

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
    "additionalProperties": False,
}


class City(BaseModel):
    city: str
    population: int


def function(name: str) -> dict:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": "Tells something.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }


TOOLS = [function("get_weather"), function("get_time")]
HELLO = [{"role": "user", "content": "Hello there"}]


@pytest.fixture(scope="module")
def client(url, key):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=300)


def test_models_are_listed_and_looked_up(client, models):
    listed = {model.id for model in client.models.list()}
    assert set(models.values()) <= listed
    found = client.models.retrieve(models["builtin"])
    assert (found.id, found.object) == (models["builtin"], "model")
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("nobody/knows-it")
    assert refused.value.code == "model_not_found"


def test_chat(client, models):
    answer = client.chat.completions.create(model=models["scripted"], messages=HELLO, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    for choice in answer.choices:
        assert choice.message.content == "Hello, client."
        assert choice.finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details.cached_tokens is not None


def test_the_builtin_model_answers_and_repeats_itself_with_a_seed(client, models):
    def ask():
        answer = client.chat.completions.create(
            model=models["builtin"], messages=HELLO, max_completion_tokens=8, seed=7, logprobs=True, top_logprobs=2
        )
        choice = answer.choices[0]
        assert answer.usage.completion_tokens <= 8
        assert len(choice.logprobs.content[0].top_logprobs) == 2
        assert choice.logprobs.content[0].logprob <= 0
        return choice.message.content

    assert ask() == ask()


def test_stream(client, models):
    chunks = list(
        client.chat.completions.create(
            model=models["scripted"], messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "Hello, client."
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_stream_helper_puts_the_answer_together(client, models):
    with client.chat.completions.stream(model=models["tools"], messages=HELLO, tools=TOOLS) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds
    calls = answer.choices[0].message.tool_calls
    assert json.loads(calls[0].function.arguments) == {"city": "Paris"}


def test_tools_are_called_and_their_answers_taken(client, models):
    answer = client.chat.completions.create(model=models["tools"], messages=HELLO, tools=TOOLS)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    names = [call.function.name for call in choice.message.tool_calls]
    assert names == ["get_weather", "get_time"]
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in choice.message.tool_calls
    ]
    history = [*HELLO, choice.message, *results]
    again = client.chat.completions.create(model=models["scripted"], messages=history, tools=TOOLS)
    assert again.choices[0].message.content == "Hello, client."


def test_a_tool_can_be_forced_forbidden_or_alone(client, models):
    def calls(**choice):
        answer = client.chat.completions.create(model=models["tools"], messages=HELLO, tools=TOOLS, **choice)
        return [call.function.name for call in answer.choices[0].message.tool_calls or []]

    named = {"type": "function", "function": {"name": "get_time"}}
    assert calls(tool_choice=named) == ["get_time"]
    assert calls(tool_choice="none") == []
    assert calls(tool_choice="required", parallel_tool_calls=False) == ["get_weather"]


def test_an_answer_is_parsed_by_its_schema(client, models):
    answer = client.chat.completions.parse(model=models["scripted"], messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(city="Paris", population=2100000)
    schema = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": CITY}}
    real = client.chat.completions.create(
        model=models["builtin"], messages=HELLO, response_format=schema, max_tokens=200, temperature=0
    )
    assert real.choices[0].message.content.lstrip().startswith("{")


def test_thoughts_are_apart(client, models):
    answer = client.chat.completions.create(model=models["thinking"], messages=HELLO)
    assert answer.choices[0].message.content == "It is 42."
    assert answer.choices[0].message.reasoning_content == "Let me think."
    quiet = client.chat.completions.create(model=models["thinking"], messages=HELLO, reasoning_effort="none")
    assert getattr(quiet.choices[0].message, "reasoning_content", None) is None


def test_completions(client, models):
    answer = client.completions.create(model=models["echo"], prompt=["one two", "three"], echo=True)
    assert [choice.text for choice in answer.choices] == ["one twoone two", "threethree"]
    told = client.completions.create(model=models["echo"], prompt="one two", logprobs=1).choices[0].logprobs
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset)
    chunks = list(client.completions.create(model=models["echo"], prompt="one two", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "one two"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_errors_are_of_their_classes(client, models, url):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody", messages=HELLO)
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=models["echo"], messages=HELLO, temperature=99)
    assert refused.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=models["echo"], messages=HELLO, n=1000)
    assert refused.value.param == "n"
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(model=models["echo"], messages=image)
    assert refused.value.code == "model_incompatible"
    with pytest.raises(openai.UnprocessableEntityError):
        client.embeddings.create(model=models["echo"], input="Hello")
    stranger = openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_a_stream_that_is_left_stops_the_work(client, models):
    stream = client.chat.completions.create(model=models["slow"], messages=HELLO, stream=True)
    seen = [next(stream) for _ in range(3)]
    assert len(seen) == 3
    stream.close()


def test_a_stream_that_breaks_is_an_error(client, models):
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model=models["faulty"], messages=HELLO, stream=True))


def test_responses_are_kept_and_gone_on_with(client, models):
    first = client.responses.create(model=models["scripted"], input="Hello there", instructions="Be brief.")
    assert first.output_text == "Hello, client." and first.status == "completed"
    second = client.responses.create(model=models["echo"], input="again", previous_response_id=first.id)
    for words in ("Hello there", "Hello, client.", "again"):
        assert words in second.output_text
    assert client.responses.retrieve(first.id).output_text == first.output_text
    items = client.responses.input_items.list(second.id)
    assert [item.content[0].text for item in items] == ["again"]
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_responses_are_streamed_step_by_step(client, models):
    with client.responses.stream(model=models["thinking"], input="Hello there") as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert "response.reasoning_text.delta" in kinds
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.output_text == "It is 42."


def test_responses_call_tools_and_follow_schemas(client, models):
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": False}
    other = {**tool, "name": "get_time"}
    answer = client.responses.create(model=models["tools"], input="Hello there", tools=[tool, other])
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
    again = client.responses.create(model=models["scripted"], input=results, previous_response_id=answer.id)
    assert again.output_text == "Hello, client."
    parsed = client.responses.parse(model=models["scripted"], input="Hello there", text_format=City)
    assert parsed.output_parsed == City(city="Paris", population=2100000)


def test_a_response_in_the_background_is_cancelled(client, models):
    begun = client.responses.create(model=models["slow"], input="Hello there", background=True)
    assert begun.status == "in_progress"
    assert client.responses.cancel(begun.id).status == "cancelled"
    assert client.responses.retrieve(begun.id).status == "cancelled"


def test_texts_become_tokens_and_texts_again(url, key, models):
    headers = {"authorization": f"Bearer {key}"}
    told = httpx.post(
        f"{url}/v1/tokenize", headers=headers, json={"model": models["builtin"], "content": "Hello there"}, timeout=300
    ).json()
    assert told["count"] == len(told["tokens"]) > 0
    back = httpx.post(
        f"{url}/v1/detokenize",
        headers=headers,
        json={"model": models["builtin"], "tokens": told["tokens"]},
        timeout=300,
    ).json()
    assert back["content"] == back["prompt"] == "Hello there"
