// Requests to the agent. The token comes with the link behind "#", which no server sees.

const KEY = "teachmesh-token";
let token = localStorage.getItem(KEY) ?? "";

/** Take the token from the address, and remove it there. */
export function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) {
    useToken(found);
    history.replaceState(null, "", location.pathname + "#ask");
  }
}

export function useToken(text) {
  token = text.trim();
  localStorage.setItem(KEY, token);
}

export const hasToken = () => token !== "";

/** An error of the agent; its message is a sentence for people. */
export class AgentError extends Error {
  constructor(status, body) {
    super(body.message ?? `the agent answered with status ${status}`);
    this.status = status;
  }
}

async function send(method, path, options = {}) {
  const headers = { ...(options.headers ?? {}), ...(token ? { authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, method, headers });
  } catch {
    throw new AgentError(0, { message: "The agent does not answer. Start it with: teachmesh up" });
  }
  if (answer.ok) return answer;
  if (answer.status === 401) dispatchEvent(new Event("signed-out"));
  throw new AgentError(answer.status, await answer.json().catch(() => ({})));
}

const query = (values) => {
  const text = new URLSearchParams(Object.entries(values ?? {})).toString();
  return text ? `?${text}` : "";
};
const form = (files) => {
  const body = new FormData();
  for (const file of files) body.append("files", file, file.name);
  return body;
};

export const quoted = encodeURIComponent;
export const get = async (path, values) => (await send("GET", path + query(values))).json();
export const post = async (path, values) => (await send("POST", path + query(values))).json();
export const drop = async (path) => (await send("DELETE", path)).json();
export const postFiles = async (path, files, values) =>
  (await send("POST", path + query(values), { body: form(files) })).json();
export const postJson = async (path, document) =>
  (await send("POST", path, {
    body: JSON.stringify(document), headers: { "content-type": "application/json" },
  })).json();

/** Save an answer as a file of the browser. */
export async function download(path, name) {
  const blob = await (await send("GET", path)).blob();
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Call `take` with each event, from the kept ones on, until the page is closed. */
export async function follow(take) {
  let last = "0";
  for (;;) {
    try {
      const answer = await send("GET", "/v1/events", { headers: { "last-event-id": last } });
      last = await read(answer.body, last, take);
    } catch { /* the agent is away; try again below */ }
    await new Promise((done) => setTimeout(done, 2000));
  }
}

async function read(body, last, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) return last;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.match(/^data: (.*)$/m);
      last = part.match(/^id: (\d+)$/m)?.[1] ?? last;
      if (data) take(JSON.parse(data[1]));
    }
  }
}
