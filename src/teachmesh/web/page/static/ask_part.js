// Ask: pictures in, answers out.

import { get, postFiles } from "./agent_api.js";
import { openCamera } from "./camera.js";
import { correction } from "./correction.js";
import { $, bars, counted, el, fill, percent, say } from "./page_elements.js";

const MOST = 64;
const KEPT = 24;

export function start() {
  $("ask-files").addEventListener("change", (event) => {
    ask([...event.target.files]);
    event.target.value = "";
  });
  $("ask-camera").addEventListener("click", () => openCamera($("ask-camera-place"), (file) => ask([file])));
  addEventListener("paste", (event) => {
    if (!$("ask").hidden && event.clipboardData.files.length) ask([...event.clipboardData.files]);
  });
  acceptDrops();
}

export async function show() {
  const { skills } = await get("/v1/skills");
  $("ask-none").hidden = skills.some((skill) => skill.usable);
}

function acceptDrops() {
  const place = $("ask-drop");
  const mark = (isOver) => (event) => {
    event.preventDefault();
    place.classList.toggle("over", isOver);
  };
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => event.preventDefault());
  place.addEventListener("dragover", mark(true));
  place.addEventListener("dragleave", mark(false));
  place.addEventListener("drop", (event) => {
    mark(false)(event);
    ask([...event.dataTransfer.files]);
  });
}

async function ask(files) {
  if (files.length > MOST) return say(`Expected at most ${MOST} pictures at a time, got ${files.length}.`, true);
  if (!files.length) return undefined;
  say(`Looking at ${counted(files.length, "picture")} …`);
  const answers = await Promise.all(inTurns(files.map((file) => () => one(file))));
  for (const answer of answers) $("ask-answers").prepend(answer);
  while ($("ask-answers").children.length > KEPT) $("ask-answers").lastChild.remove();
  return say("");
}

/** Run at most four functions at a time; return their promises. */
function inTurns(works, width = 4) {
  const lanes = Array.from({ length: width }, () => Promise.resolve());
  return works.map((work, n) => (lanes[n % width] = lanes[n % width].then(work)));
}

async function one(file) {
  try {
    const { predictions } = await postFiles("/v1/predict", [file], { alternatives: 3 });
    return card(file, predictions[0]);
  } catch (error) {
    return frame(file, el("p", { class: "error" }, error.message));
  }
}

function frame(file, ...content) {
  const image = el("img", { alt: `Picture ${file.name}`, src: URL.createObjectURL(file) });
  return el("article", { class: "card answer" }, el("div", { class: "picture" }, image), el("div", {}, ...content));
}

function card(file, found) {
  const items = [{ task: found.task, class: found.class, probability: found.probability }, ...found.alternatives];
  const rows = items.map((item) => ({ label: `${item.task} / ${item.class}`, share: item.probability }));
  return frame(file,
    ...headline(found),
    el("p", { class: "hint" }, `Taught by ${found.alias} (${found.author}).`, ...sameAs(found)),
    el("h4", {}, found.unknown ? "Nearest classes, if it is one of them" : "Nearest classes"), bars(rows),
    correction(file, found));
}

function headline(found) {
  if (found.unknown) {
    return [el("h3", { class: "unknown" }, "Not like anything I know"),
      el("p", {}, `Nearest is ${found.class} of ${found.task}.`)];
  }
  const doubt = found.unknown === null
    ? el("p", { class: "hint" }, `Cannot say whether it is something else: ${found.unknown_reason}.`) : null;
  return [el("h3", {}, found.class),
    el("p", {}, `Task ${found.task}, ${percent(found.probability)} sure.`), doubt];
}

const sameAs = (found) =>
  found.same_as.length
    ? [` The same as ${found.same_as.map((s) => `${s.class} of ${s.task}`).join(", ")}${together(found)}.`] : [];

const together = (found) =>
  found.probability_together === null ? "" : `, together ${percent(found.probability_together)} sure`;
