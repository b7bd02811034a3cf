// "Wrong, it is ...": learn a picture as the class that it has, and watch it reach the other agents.

import { get, post, postFiles, postJson, quoted } from "./agent_api.js";
import { finished } from "./job_view.js";
import { el, fill } from "./page_elements.js";

const WATCH_MS = 1000;
const WATCHES = 30;
let lists = 0;

/** Return the form for one answer. */
export function correction(file, found) {
  const body = el("div", {});
  const details = el("details", {}, el("summary", {}, "Wrong, it is …"), body);
  details.addEventListener("toggle", () => {
    if (details.open && !body.firstChild) build(body, file, found);
  });
  return details;
}

async function build(body, file, found) {
  const { id } = await get("/v1/status");
  const own = (await get("/v1/skills")).skills.filter((skill) => skill.author === id);
  if (!own.length) {
    return fill(body, el("p", {}, `Only ${found.alias} can correct ${found.task}. Teach a task of your own to add this picture.`));
  }
  const foreign = own.some((skill) => skill.id === found.skill) ? null
    : el("p", {}, `${found.task} is taught by ${found.alias}, so only that agent can correct it. You can add the picture to a task of yours.`);
  const list = el("datalist", { id: `classes-${++lists}` });
  const task = el("select", { required: true },
    ...own.map((s) => el("option", { value: s.display_name, selected: s.id === found.skill }, s.display_name)));
  const name = el("input", { required: true, list: list.id, maxlength: 128, autocomplete: "off" });
  const fillClasses = async () => {
    const { card } = await get(`/v1/skills/${quoted(task.value)}`);
    fill(list, ...card.classes.map((text) => el("option", { value: text })));
  };
  task.addEventListener("change", fillClasses);
  await fillClasses();
  const says = el("p", { role: "status" });
  const form = el("form", {}, foreign,
    el("label", {}, "Task ", task), el("label", {}, "Class ", name), list,
    el("button", {}, "Learn this"), says);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    learn(file, task.value, name.value.trim(), says);
  });
  fill(body, form);
  return name.focus();
}

async function learn(file, task, name, says) {
  says.className = "";
  says.textContent = "Learning …";
  try {
    const { card } = await get(`/v1/skills/${quoted(task)}`);
    if (card.classes.includes(name)) await postFiles("/v1/correct", [file], { task, class: name });
    else await addClass(file, task, name);
    says.textContent = `Learned as ${name} of ${task}.`;
    await watch(says, says.textContent);
  } catch (error) {
    says.className = "error";
    says.textContent = error.message;
  }
}

/** Add a class that the task does not have yet. */
async function addClass(file, task, name) {
  const { upload } = await post("/v1/uploads");
  await postFiles(`/v1/uploads/${upload}`, [file], { class: name });
  const { job } = await postJson("/v1/learn", { upload, add_to: task });
  const done = await finished(job, () => {});
  if (done.state !== "done") throw new Error(done.error?.message ?? "The job was cancelled.");
}

/** Say how many peers have the new version, until all have it. */
async function watch(says, text) {
  for (let n = 0; n < WATCHES && says.isConnected; n += 1) {
    const peers = (await get("/v1/peers")).agents.filter((agent) => agent.in_sync !== null);
    const reached = peers.filter((peer) => peer.in_sync).length;
    if (!peers.length) return;
    says.textContent = `${text} Other agents that have it: ${reached} of ${peers.length}.`;
    if (reached === peers.length) return;
    await new Promise((done) => setTimeout(done, WATCH_MS));
  }
}
