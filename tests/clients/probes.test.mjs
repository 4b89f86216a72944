// The probes, and that what the scripts are given is there.

import assert from "node:assert/strict";
import test from "node:test";
import WebSocket from "ws";
import OpenAI from "openai";
import { key, models, url } from "./environment.mjs";

test("probes need no key", async () => {
  for (const path of ["/health", "/live", "/ready", "/version"]) {
    const answer = await fetch(url + path);
    assert.equal(answer.status, 200, path);
    assert.ok(await answer.json());
  }
});

test("what the scripts need is there", () => {
  assert.equal(typeof key, "string");
  assert.equal(models.builtin, "builtin/helper");
  assert.equal(typeof WebSocket, "function");
  assert.equal(typeof OpenAI, "function");
});
