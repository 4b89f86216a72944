// The API as the `openai` library sees it.

import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { key, models, url } from "./environment.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, timeout: 300_000 });
const messages = [{ role: "user", content: "Hello there" }];
const tool = (name) => ({ type: "function", function: { name, parameters: { type: "object", properties: {} } } });
const tools = [tool("get_weather"), tool("get_time")];

test("models are listed and looked up", async () => {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  assert.ok(listed.includes(models.scripted));
  assert.equal((await client.models.retrieve(models.builtin)).id, models.builtin);
  await assert.rejects(client.models.retrieve("nobody/knows-it"), OpenAI.NotFoundError);
});

test("chat", async () => {
  const answer = await client.chat.completions.create({ model: models.scripted, messages });
  assert.equal(answer.choices[0].message.content, "Hello, client.");
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
});

test("stream", async () => {
  const stream = client.chat.completions.stream({
    model: models.scripted,
    messages,
    stream_options: { include_usage: true },
  });
  let text = "";
  stream.on("content", (delta) => (text += delta));
  const answer = await stream.finalChatCompletion();
  assert.equal(text, "Hello, client.");
  assert.equal(answer.choices[0].message.content, text);
  assert.ok((await stream.totalUsage()).completion_tokens > 0);
});

test("tools", async () => {
  const answer = await client.chat.completions.stream({ model: models.tools, messages, tools }).finalChatCompletion();
  const calls = answer.choices[0].message.tool_calls;
  assert.deepEqual(
    calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
    [
      ["get_weather", { city: "Paris" }],
      ["get_time", { zone: "Europe/Paris" }],
    ],
  );
});

test("an answer is parsed by its schema", async () => {
  const schema = {
    type: "object",
    properties: { city: { type: "string" }, population: { type: "integer" } },
    required: ["city", "population"],
    additionalProperties: false,
  };
  const answer = await client.chat.completions.parse({
    model: models.scripted,
    messages,
    response_format: { type: "json_schema", json_schema: { name: "city", strict: true, schema } },
  });
  assert.equal(JSON.parse(answer.choices[0].message.content).city, "Paris");
});

test("errors are of their classes", async () => {
  const ask = (fields) => client.chat.completions.create({ model: models.echo, messages, ...fields });
  await assert.rejects(ask({ model: "nobody" }), OpenAI.NotFoundError);
  await assert.rejects(ask({ temperature: 99 }), (error) => {
    return error instanceof OpenAI.BadRequestError && error.param === "temperature";
  });
  await assert.rejects(ask({ response_format: { type: "yaml" } }), OpenAI.BadRequestError);
  await assert.rejects(client.embeddings.create({ model: models.echo, input: "x" }), OpenAI.UnprocessableEntityError);
  const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong", maxRetries: 0 });
  await assert.rejects(stranger.models.retrieve(models.echo), OpenAI.AuthenticationError);
});

test("a stream can be left", async () => {
  const stream = await client.chat.completions.create({ model: models.slow, messages, stream: true });
  let pieces = 0;
  for await (const chunk of stream) {
    pieces += chunk.choices.length;
    if (pieces > 3) break;
  }
  assert.ok(stream.controller.signal.aborted);
});

test("responses", async () => {
  const first = await client.responses.create({ model: models.scripted, input: "Hello there" });
  assert.equal(first.output_text, "Hello, client.");
  const kinds = [];
  const stream = client.responses.stream({ model: models.thinking, input: "again", previous_response_id: first.id });
  for await (const event of stream) kinds.push(event.type);
  const second = await stream.finalResponse();
  assert.equal(second.output_text, "It is 42.");
  assert.equal(kinds[0], "response.created");
  assert.equal(kinds.at(-1), "response.completed");
  assert.equal((await client.responses.retrieve(second.id)).previous_response_id, first.id);
  await client.responses.delete(first.id);
  await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
});

test("a response in the background is cancelled", async () => {
  const begun = await client.responses.create({ model: models.slow, input: "Hello there", background: true });
  assert.equal((await client.responses.cancel(begun.id)).status, "cancelled");
});
