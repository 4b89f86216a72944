// Sends a request and shows the answer as it arrives.

/** Of a very long answer the end is shown. */
const MOST = 200_000;

function pretty(text, type) {
  if (!type.startsWith("application/json")) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Calls `report` with the head of the answer, and again whenever there is more of it. */
export async function call(request, key, signal, report) {
  const headers = { ...request.headers };
  if (key) headers.authorization = `Bearer ${key}`;
  if (request.body !== undefined) headers["content-type"] = "application/json";
  const started = performance.now();
  const answer = await fetch(request.path, {
    method: request.method, headers, body: request.body, signal, credentials: "omit", cache: "no-store",
  });
  const type = answer.headers.get("content-type") ?? "";
  const told = (text) => report({
    ok: answer.ok,
    line: [`${answer.status} ${answer.statusText}`.trim(), `${Math.round(performance.now() - started)} ms`, type].filter(Boolean).join(" · "),
    text: text.slice(-MOST),
  });
  told("");
  if (!answer.body) return;
  let text = "";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
    told(text);
  }
  told(pretty(text, type));
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The same request for a terminal; the key is asked for there and not copied. */
export function shownCommand(request) {
  const words = ["curl --no-buffer"];
  if (request.method === "HEAD") words.push("--head");
  else if (request.method !== "GET") words.push(`--request ${request.method}`);
  words.push(`--header "Authorization: Bearer $(airunner keys token)"`);
  for (const [name, value] of Object.entries(request.headers)) words.push(`--header ${quoted(`${name}: ${value}`)}`);
  if (request.body !== undefined) {
    words.push(`--header 'Content-Type: application/json'`, `--data ${quoted(request.body)}`);
  }
  words.push(quoted(location.origin + request.path));
  return words.join(" \\\n  ");
}
