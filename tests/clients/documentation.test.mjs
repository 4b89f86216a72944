// The page at /docs in a browser, and what pages of other addresses can do.

import assert from "node:assert/strict";
import http from "node:http";
import test, { after, before } from "node:test";
import { chromium } from "playwright-core";
import { key, models, url } from "./environment.mjs";

// Longer than anything takes on a busy machine, milliseconds.
const PATIENCE = 300_000;

let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.AIRUNNER_TEST_BROWSER,
    timeout: PATIENCE,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });
});

after(() => browser?.close());

async function newPage() {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  return page;
}

async function authorized() {
  const page = await newPage();
  const asked = [];
  const complaints = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`${url}/docs`);
  await page.waitForSelector("details.operation");
  await page.click("#authorize");
  await page.fill("#key", key);
  await page.click("#use");
  return { page, asked, complaints };
}

test("the page loads, asks nobody else, and shows all four families", async () => {
  const { page, asked, complaints } = await authorized();
  const titles = await page.locator("main h2").allTextContents();
  for (const family of ["OpenAI", "Ollama", "Anthropic", "health"]) assert.ok(titles.includes(family), titles.join());
  assert.ok(await page.locator("details.operation").count() > 10);
  assert.ok(asked.length >= 6);
  for (const place of asked) assert.ok(place.startsWith(`${url}/`) || place.startsWith("data:"), place);
  assert.deepEqual(complaints, []);
  await page.close();
});

test("a call is tried with the token, and its answer is shown", async () => {
  const { page } = await authorized();
  const box = page.locator("details.operation", { has: page.locator("summary .path", { hasText: /^\/v1\/chat\/completions$/ }) });
  await box.locator("summary").first().click();
  await box.locator("textarea").fill(JSON.stringify({
    model: models.scripted, stream: true, messages: [{ role: "user", content: "Hi" }],
  }));
  await box.locator("button.send").click();
  await page.waitForFunction(() => document.querySelector(".result")?.textContent.includes("[DONE]"));
  assert.match(await box.locator(".status").textContent(), /^200/);
  assert.match(await box.locator(".result").textContent(), /client/);
  await page.close();
});

test("without the token the same call is refused", async () => {
  const page = await newPage();
  await page.goto(`${url}/docs`);
  await page.waitForSelector("details.operation");
  const box = page.locator("details.operation", { has: page.locator("summary .path", { hasText: /^\/v1\/models$/ }) }).first();
  await box.locator("summary").first().click();
  await box.locator("button.send").click();
  await page.waitForFunction(() => /^401/.test(document.querySelector(".status")?.textContent ?? ""));
  await page.close();
});

test("a page of another address can read and change nothing", async (context) => {
  const server = http.createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end("<title>elsewhere</title>");
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const page = await newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const attempts = await page.evaluate(async ({ url, key, model }) => {
    const outcomes = {};
    const attempt = async (name, path, options) => {
      try {
        const answer = await fetch(url + path, options);
        outcomes[name] = answer.type === "opaque" ? "opaque" : `read ${answer.status}: ${await answer.text()}`;
      } catch {
        outcomes[name] = "blocked";
      }
    };
    const authorization = `Bearer ${key}`;
    const body = JSON.stringify({ model });
    await attempt("read", "/health");
    await attempt("read models", "/v1/models", { headers: { authorization } });
    await attempt("write", "/v1/chat/completions", { method: "POST", body, headers: { authorization, "content-type": "application/json" } });
    await attempt("delete", "/api/delete", { method: "DELETE", body, headers: { authorization } });
    // Simple requests are sent without asking first: the server refuses them, and nothing is read.
    await attempt("simple write", "/api/generate", { method: "POST", mode: "no-cors", body });
    outcomes.socket = await new Promise((done) => {
      const socket = new WebSocket(`${url.replace("http", "ws")}/api/v1/llm/stream`);
      socket.onopen = () => done("open");
      socket.onerror = () => done("blocked");
    });
    outcomes.frame = await new Promise((done) => {
      const frame = document.createElement("iframe");
      frame.src = `${url}/docs`;
      frame.onload = () => { try { done(frame.contentDocument ? "same" : "foreign"); } catch { done("foreign"); } };
      document.body.append(frame);
    });
    return outcomes;
  }, { url, key, model: models.echo });
  assert.deepEqual(attempts, {
    read: "blocked", "read models": "blocked", write: "blocked", delete: "blocked", "simple write": "blocked",
    socket: "blocked", frame: "foreign",
  });
  // Nothing was loaded and nothing deleted.
  const headers = { authorization: `Bearer ${key}` };
  const present = await (await fetch(`${url}/v1/models`, { headers })).json();
  assert.ok(present.data.some((model) => model.id === models.echo));
  const running = await (await fetch(`${url}/metrics`, { headers })).text();
  assert.ok(running.includes(`airunner_model_state{model="${models.echo}",state="UNLOADED"} 1`));
  await page.close();
});
