// Teach: pictures class by class, then a learning job.

import { get, post, postFiles, postJson } from "./agent_api.js";
import { ClassBox } from "./class_box.js";
import { followJob } from "./job_view.js";
import { $, el, fill, say } from "./page_elements.js";

const BATCH = 32;
const BATCH_BYTES = 12e6;
const shown = new Set();
let boxes = [];

export function start() {
  $("teach-add").addEventListener("click", () => addBox().focus());
  $("teach-folder").addEventListener("change", (event) => {
    takeFolder([...event.target.files]);
    event.target.value = "";
  });
  $("teach-form").addEventListener("input", () => say(""));
  $("teach-form").addEventListener("submit", (event) => {
    event.preventDefault();
    teach().catch((error) => say(error.message, true));
  });
  for (const radio of document.querySelectorAll("input[name=kind]")) radio.addEventListener("change", chooseKind);
  addBox();
  addBox();
}

export async function show() {
  const { id } = await get("/v1/status");
  const own = (await get("/v1/skills")).skills.filter((skill) => skill.author === id);
  fill($("teach-task"), ...own.map((skill) => el("option", { value: skill.display_name }, skill.display_name)));
  const { jobs } = await get("/v1/jobs");
  const running = jobs.filter((job) => ["queued", "running"].includes(job.state));
  for (const job of new Set([...jobs.slice(-1), ...running])) showJob(job.job);
}

const isMore = () => document.querySelector("input[name=kind]:checked").value === "more";

function chooseKind() {
  $("teach-new").hidden = isMore();
  $("teach-more").hidden = !isMore();
}

function addBox(name = "") {
  const box = new ClassBox(name, () => {
    boxes = boxes.filter((other) => other !== box);
  });
  boxes.push(box);
  $("teach-classes").append(box.element);
  return box;
}

/** Take a folder of folders: each folder with pictures in it is a class. */
function takeFolder(files) {
  const pictures = files.filter((file) => file.type.startsWith("image/"));
  for (const file of pictures) {
    const parts = file.webkitRelativePath.split("/");
    const name = parts.length > 1 ? parts.at(-2) : "";
    const box = boxes.find((b) => b.name === name) ?? boxes.find((b) => !b.name && !b.files.length) ?? addBox();
    box.name = name;
    box.add([file], false);
  }
  for (const box of boxes) box.draw();
  if (pictures.length && !$("teach-name").value) $("teach-name").value = pictures[0].webkitRelativePath.split("/")[0];
  say(pictures.length ? "" : "There is no picture in this folder. Choose a folder with one folder per class.", !pictures.length);
}

async function teach() {
  const used = boxes.filter((box) => box.files.length);
  const problem = problemOf(used);
  if (problem) return say(problem, true);
  $("teach-start").disabled = true;
  try {
    const { upload } = await post("/v1/uploads");
    for (const box of used) await uploadClass(upload, box);
    const target = isMore() ? { add_to: $("teach-task").value } : { name: $("teach-name").value.trim() };
    const isPrivate = $("teach-private").checked && !isMore();
    const quality = $("teach-quality").value || null;
    const { job } = await postJson("/v1/learn", { upload, ...target, private: isPrivate, quality });
    say("");
    startAgain();
    showJob(job);
  } finally {
    $("teach-start").disabled = false;
  }
  return undefined;
}

/** Empty the form for the next task. */
function startAgain() {
  for (const box of boxes) box.element.remove();
  boxes = [];
  $("teach-name").value = "";
  addBox();
  addBox();
}

function problemOf(used) {
  if (!isMore() && !$("teach-name").value.trim()) return "Give the task a name.";
  if (isMore() && !$("teach-task").value) return "This agent has no task of its own yet. Choose a new task.";
  if (used.some((box) => !box.name)) return "Give each class a name.";
  const fewest = isMore() ? 1 : 2;
  return used.length < fewest ? `Add pictures of at least ${fewest === 1 ? "one class" : "two classes"}.` : "";
}

async function uploadClass(upload, box) {
  for (const files of batches(box.files)) {
    say(`Sending pictures of ${box.name} …`);
    await postFiles(`/v1/uploads/${upload}`, files, { class: box.name });
  }
}

function* batches(files) {
  let batch = [];
  let bytes = 0;
  for (const file of files) {
    if (batch.length && (batch.length >= BATCH || bytes + file.size > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(file);
    bytes += file.size;
  }
  if (batch.length) yield batch;
}

/** Show a job once; one that still runs is followed, also after a reload of the page. */
function showJob(id) {
  if (shown.has(id)) return;
  shown.add(id);
  followJob(id, $("teach-jobs")).then(show).catch((error) => say(error.message, true));
}
