// Skills: search, card, versions, export, withdraw, import.

import { download, drop, get, post, postFiles, postJson, quoted } from "./agent_api.js";
import { $, counted, el, fill, moment, percent, say, size, table, terms } from "./page_elements.js";

let skills = [];
let own = "";
let held = new Map();

export function start() {
  $("skills-search").addEventListener("input", draw);
  $("skills-all").addEventListener("change", () => show());
  $("skills-import").addEventListener("change", async (event) => {
    await act(() => postFiles("/v1/skills", event.target.files), "Imported.");
    event.target.value = "";
  });
}

export async function show() {
  own = (await get("/v1/status")).id;
  held = new Map((await get("/v1/skills/quarantine/list")).skills.map((skill) => [skill.id, skill]));
  skills = (await get("/v1/skills", $("skills-all").checked ? { all: "true" } : {})).skills;
  draw();
}

function draw() {
  const wanted = $("skills-search").value.trim().toLowerCase();
  const found = skills.filter((skill) => `${skill.display_name} ${skill.alias}`.toLowerCase().includes(wanted));
  $("skills-count").textContent = skills.length || wanted
    ? `${counted(found.length, "skill")} of ${skills.length}` : "No skill yet. Teach a task, or join other agents with teachmesh up --join.";
  fill($("skills-list"), ...found.map(entry));
}

function entry(skill) {
  const body = el("div", {});
  const details = el("details", { class: "card" },
    el("summary", {}, el("strong", {}, skill.display_name),
      el("span", { class: "hint" }, ` ${counted(skill.n_classes, "class", "classes")}, from ${skill.alias}${skill.author === own ? " (you)" : ""}, ${size(skill.size_bytes)}`),
      skill.usable ? null : el("span", { class: "tag" }, held.has(skill.id) ? "in quarantine" : "not used")),
    body);
  details.addEventListener("toggle", () => {
    if (details.open) fillEntry(body, skill).catch((error) => say(error.message, true));
  });
  return details;
}

async function fillEntry(body, skill) {
  const path = `/v1/skills/${quoted(skill.id)}`;
  const { card } = await get(path);
  const { versions } = await get(`${path}/history`);
  fill(body,
    skill.usable ? null : el("p", { class: "notice" }, whyNot(skill)),
    terms(facts(card, skill)),
    card.warnings?.length ? el("h3", {}, "Remarks") : null,
    card.warnings?.length ? el("ul", {}, ...card.warnings.map((text) => el("li", {}, text))) : null,
    el("h3", {}, "Versions"), history(versions, path, skill),
    buttons(path, skill));
}

function whyNot(skill) {
  const verdict = held.get(skill.id);
  if (!verdict) return `Not used: ${skill.reason}.`;
  const like = verdict.against ? ` Compare it with ${verdict.against}.` : "";
  return `In quarantine, so no answer uses it: ${verdict.reason}.${like} Ask ${skill.alias} about it; then use it anyway, or remove it here.`;
}

const facts = (card, skill) => [
  ["Classes", card.classes.join(", ")],
  ["Pictures per class", [...new Set(card.images_per_class)].sort((a, b) => a - b).join(", ")],
  ["Right on pictures it had not seen", percent(card.validation_accuracy)],
  ["Method", skill.method],
  ["Shares", card.privacy],
  ["Author", `${skill.alias} (${skill.author})`],
  ["Created", moment(skill.created)],
  ["Id", el("code", {}, skill.id.slice(0, 16))],
];

function history(versions, path, skill) {
  const rows = versions.map((version) => [
    String(version.version), version.active ? "active" : restoreButton(version, path, skill),
    String(version.classes.length), percent(version.validation_accuracy), moment(version.created),
  ]);
  return table(["Version", "State", "Classes", "Right", "Created"], rows, `Versions of ${skill.display_name}`);
}

function restoreButton(version, path, skill) {
  if (skill.author !== own) return "replaced";
  const restore = () => act(() => postJson(`${path}/restore`, { version: version.version }), `Version ${version.version} is active again.`);
  return el("button", { type: "button", onclick: restore }, `Restore ${version.version}`);
}

function buttons(path, skill) {
  const name = skill.display_name;
  const withdraw = () => confirm(`Withdraw ${name} from all agents?`)
    && act(() => post(`${path}/withdraw`), `${name} is withdrawn.`);
  const remove = () => confirm(`Remove ${name} from this agent only?`)
    && act(() => drop(path), `${name} is removed here.`);
  const save = () => act(() => download(`${path}/export`, `${name}.skill`), "Saved as a file.");
  const use = () => confirm(`Use ${name} of ${skill.alias} although it is in quarantine?`)
    && act(() => post(`${path}/release`), `${name} is used from now on.`);
  return el("p", { class: "row" },
    held.has(skill.id) ? el("button", { type: "button", onclick: use }, "Use it anyway") : null,
    el("button", { type: "button", onclick: save }, "Export"),
    skill.author === own ? el("button", { type: "button", onclick: withdraw }, "Withdraw everywhere")
      : el("button", { type: "button", onclick: remove }, "Remove here"));
}

/** Do something, say it, and list the skills again. */
async function act(work, text) {
  try {
    await work();
    await show();
    say(text);
  } catch (error) {
    say(error.message, true);
  }
}
