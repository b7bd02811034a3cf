// Runs: reports in the agent's home.

import { download, get, quoted } from "./agent_api.js";
import { $, el, fill, say, size, table } from "./page_elements.js";

export function start() {}

export async function show() {
  const { runs } = await get("/v1/runs");
  fill($("runs-list"), runs.length ? list(runs)
    : el("p", {}, "No report yet. Write one with: ", el("code", {}, "teachmesh evaluate FOLDER")));
}

const pathOf = (name) => `/runs/${name.split("/").map(quoted).join("/")}`;

function list(runs) {
  const rows = runs.map((run) => [
    el("a", { href: pathOf(run.name), target: "_blank", rel: "noopener" }, run.name),
    new Date(1000 * run.written_s).toLocaleString(), size(run.size_bytes),
    el("button", { type: "button", onclick: () => save(run.name) }, "Save", el("span", { class: "hidden-text" }, ` ${run.name}`)),
  ]);
  return table(["Report", "Written", "Size", "File"], rows, "Reports");
}

const save = (name) => download(pathOf(name), name.split("/").at(-1)).catch((error) => say(error.message, true));
