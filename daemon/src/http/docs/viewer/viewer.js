// Shows the description of the API and lets it be tried. No code of others, no request to others.

import { element } from "./element.js";
import { example, schemaTree } from "./schema.js";
import { call, shownCommand } from "./call.js";

const METHODS = ["get", "head", "post", "put", "patch", "delete"];
const STORED = "airunner-key";

function code(text) {
  return text.split(/`([^`]+)`/).map((piece, index) => index % 2 ? element("code", { textContent: piece }) : piece);
}

/** Text with `code` and paragraphs, and nothing else of Markdown. */
function paragraphs(text) {
  return (text ?? "").split(/\n\s*\n/).filter(Boolean).map((paragraph) => element("p", {}, ...code(paragraph)));
}

function key() {
  return sessionStorage.getItem(STORED) ?? "";
}

function showKey() {
  const button = document.getElementById("authorize");
  button.textContent = key() ? "Authorized" : "Authorize";
  button.classList.toggle("plain", key() !== "");
}

function askForKey() {
  const dialog = document.getElementById("keys");
  const field = document.getElementById("key");
  field.value = key();
  dialog.returnValue = "cancel";
  dialog.showModal();
  field.focus();
}

function takeKey() {
  const dialog = document.getElementById("keys");
  if (dialog.returnValue === "use") sessionStorage.setItem(STORED, document.getElementById("key").value.trim());
  if (dialog.returnValue === "forget") sessionStorage.removeItem(STORED);
  showKey();
}

function parametersOf(item, operation) {
  return [...(item.parameters ?? []), ...(operation.parameters ?? [])];
}

/** One input for each parameter; the name of the parameter is on it. */
function fields(parameters, id) {
  if (!parameters.length) return null;
  const grid = element("div", { className: "fields" });
  for (const parameter of parameters) {
    const input = element("input", { id: `${id}-${parameter.in}-${parameter.name}`, type: "text", spellcheck: false });
    const fallback = parameter.schema?.default;
    input.placeholder = fallback === undefined || fallback === null ? "" : String(fallback);
    input.value = parameter.example ?? "";
    input.dataset.name = parameter.name;
    input.dataset.place = parameter.in;
    const label = element("label", { for: input.id, textContent: parameter.name });
    if (parameter.required) label.className = "required";
    const about = [parameter.in, parameter.description].filter(Boolean).join(" · ");
    grid.append(label, element("div", {}, input, element("small", { textContent: about })));
  }
  return grid;
}

function jsonOf(content) {
  return content?.["application/json"] ?? Object.values(content ?? {})[0];
}

function responses(operation, components) {
  const list = element("div");
  for (const [status, response] of Object.entries(operation.responses ?? {})) {
    const types = Object.keys(response.content ?? {}).join(", ");
    const title = status === "default" ? "otherwise" : status;
    const media = jsonOf(response.content);
    const line = [title, response.description, types].filter(Boolean).join(" · ");
    list.append(media?.schema
      ? element("details", {}, element("summary", { textContent: line }), schemaTree(media.schema, components))
      : element("p", { textContent: line }));
  }
  return list;
}

/** What is sent, from what is typed in. */
function requestOf(method, path, form, withBody) {
  let place = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const input of form.querySelectorAll("input[data-name]")) {
    const { name, place: where } = input.dataset;
    // A path may hold a name with slashes.
    if (where === "path") place = place.replace(new RegExp(`\\{\\*?${name}\\}`), encodeURI(input.value));
    else if (!input.value) continue;
    else if (where === "query") query.append(name, input.value);
    else if (where === "header") headers[name] = input.value;
  }
  const text = query.toString();
  const body = withBody ? form.querySelector("textarea").value : undefined;
  return { method: method.toUpperCase(), path: text ? `${place}?${text}` : place, headers, body };
}

function tryIt(method, path, form, withBody) {
  const send = element("button", { type: "button", textContent: "Send", className: "send" });
  const stop = element("button", { type: "button", textContent: "Stop", className: "plain", disabled: true });
  const copy = element("button", { type: "button", textContent: "Copy as curl", className: "plain" });
  const status = element("p", { className: "status", hidden: true });
  const result = element("div", { className: "result", hidden: true, tabIndex: 0 });
  status.setAttribute("role", "status");
  let running;
  send.addEventListener("click", async () => {
    running?.abort();
    const mine = running = new AbortController();
    stop.disabled = false;
    status.hidden = result.hidden = false;
    status.className = "status";
    status.textContent = "Waiting…";
    result.textContent = "";
    const request = requestOf(method, path, form, withBody);
    try {
      await call(request, key(), mine.signal, (answer) => {
        status.textContent = answer.line;
        status.className = `status ${answer.ok ? "good" : "bad"}`;
        result.textContent = answer.text;
        result.scrollTop = result.scrollHeight;
      });
    } catch (error) {
      status.textContent = mine.signal.aborted ? "Stopped" : `Not sent: ${error.message}`;
      status.className = "status bad";
    }
    if (running === mine) stop.disabled = true;
  });
  stop.addEventListener("click", () => running?.abort());
  copy.addEventListener("click", async () => {
    const command = shownCommand(requestOf(method, path, form, withBody));
    status.hidden = result.hidden = false;
    result.textContent = command;
    status.className = "status";
    try {
      await navigator.clipboard.writeText(command);
      status.textContent = "Copied";
    } catch {
      status.textContent = "To be copied:";
    }
  });
  return [element("div", { className: "actions" }, send, stop, copy), status, result];
}

function details(method, path, item, operation, components, id) {
  const form = element("div", { className: "body" });
  form.append(...paragraphs(operation.description));
  const inputs = fields(parametersOf(item, operation), id);
  if (inputs) form.append(element("h4", { textContent: "Parameters" }), inputs);
  const media = jsonOf(operation.requestBody?.content);
  if (media) {
    const area = element("textarea", { spellcheck: false, value: JSON.stringify(example(media, components), null, 2) });
    area.setAttribute("aria-label", "Body of the request");
    form.append(element("h4", { textContent: "Body" }), area);
    if (media.schema) {
      form.append(element("details", {}, element("summary", { textContent: "What it may hold" }), schemaTree(media.schema, components)));
    }
  }
  form.append(...tryIt(method, path, form, Boolean(media)));
  form.append(element("h4", { textContent: "Answers" }), responses(operation, components));
  return form;
}

function shown(method, path, item, operation, components) {
  const id = `${method}-${path.replace(/[^a-z0-9]+/gi, "-")}`;
  const scope = operation.security?.[0] ? Object.values(operation.security[0])[0]?.[0] : "no key";
  const open = element("span", { className: "open", textContent: scope ?? "key" });
  open.title = scope === "no key" ? "Needs no key" : "The scope that a key must have";
  const summary = element("summary", {},
    element("span", { className: `method ${method}`, textContent: method }),
    element("span", { className: "path", textContent: path }),
    open,
    element("span", { className: "summary" }, ...code(operation.summary ?? "")));
  const box = element("details", { className: "operation", id }, summary);
  // Most of it is never looked at.
  box.addEventListener("toggle", () => {
    if (box.open && box.children.length === 1) box.append(details(method, path, item, operation, components, id));
  });
  box.dataset.words = [method, path, operation.summary, operation.description].join(" ").toLowerCase();
  return box;
}

function operationsByTag(description) {
  const found = new Map(description.tags.map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = item[method].tags?.[0] ?? "";
      if (!found.has(tag)) found.set(tag, []);
      found.get(tag).push([method, path, item, item[method]]);
    }
  }
  return found;
}

function show(description) {
  document.getElementById("version").textContent = description.info.version;
  const about = new Map(description.tags.map((tag) => [tag.name, tag.description]));
  const main = element("div");
  const contents = document.getElementById("contents");
  for (const [tag, operations] of operationsByTag(description)) {
    if (!operations.length) continue;
    const section = element("section", {}, element("div", { className: "family" },
      element("h2", { textContent: tag }), ...paragraphs(about.get(tag))));
    contents.append(element("h3", { textContent: tag }));
    for (const operation of operations) {
      const box = shown(...operation, description.components);
      section.append(box);
      const [method, path] = operation;
      const link = element("a", { href: `#${box.id}` },
        element("span", { className: `method ${method}`, textContent: method }), element("span", { textContent: path }));
      link.addEventListener("click", () => { box.open = true; });
      contents.append(link);
    }
    main.append(section);
  }
  document.getElementById("main").replaceChildren(...main.children);
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted?.tagName === "DETAILS") {
    wanted.open = true;
    wanted.scrollIntoView();
  }
}

function find(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  for (const box of document.querySelectorAll("details.operation")) {
    const hidden = !wanted.every((word) => box.dataset.words.includes(word));
    box.hidden = hidden;
    const link = document.querySelector(`nav a[href="#${CSS.escape(box.id)}"]`);
    if (link) link.hidden = hidden;
  }
  for (const section of document.querySelectorAll("main section")) {
    section.hidden = !section.querySelector("details.operation:not([hidden])");
  }
}

document.getElementById("authorize").addEventListener("click", askForKey);
document.getElementById("keys").addEventListener("close", takeKey);
document.getElementById("search").addEventListener("input", (event) => find(event.target.value));
document.getElementById("key").addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    document.getElementById("use").click();
  }
});
showKey();
try {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  show(await answer.json());
} catch (error) {
  document.getElementById("main").replaceChildren(
    element("p", { className: "problem", textContent: `The description cannot be read: ${error.message}` }));
}
