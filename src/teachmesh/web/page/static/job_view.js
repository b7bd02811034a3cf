// A learning job with its progress, and the new skill at the end.

import { drop, get, post, postJson, quoted } from "./agent_api.js";
import { counted, el, fill, percent, say, size, terms } from "./page_elements.js";

const POLL_MS = 400;
const ENDED = new Set(["done", "failed", "cancelled"]);

/** Wait for the end of a job; `seen` gets each state on the way. */
export async function finished(id, seen) {
  for (;;) {
    const job = await get(`/v1/jobs/${id}`);
    seen(job);
    if (ENDED.has(job.state)) return job;
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

/** Show a job in `place` until it ends. */
export async function followJob(id, place) {
  const bar = el("progress", { "aria-label": "Progress of learning" });
  const text = el("p", {});
  const cancel = el("button", { type: "button", onclick: () => drop(`/v1/jobs/${id}`) }, "Cancel");
  const title = el("h3", {});
  const card = el("article", { class: "card" }, title, text, bar, el("p", { class: "row" }, cancel));
  place.prepend(card);
  const job = await finished(id, (found) => {
    title.textContent = `Learning ${found.task}`;
    text.textContent = progressText(found);
    if (found.total) Object.assign(bar, { max: found.total, value: found.done });
  });
  fill(card, ...ended(job));
  return job;
}

function progressText(job) {
  if (job.state === "queued") return "Waiting for its turn.";
  return job.total ? `${job.done} of ${job.total} pictures. ${job.summary}` : "Reading the pictures …";
}

function ended(job) {
  if (job.state === "cancelled") return [el("h3", {}, `${job.task}: cancelled`), el("p", {}, "Nothing was saved.")];
  if (job.state === "failed") return [el("h3", {}, `${job.task}: not learned`), el("p", { class: "error" }, job.error.message)];
  return learned(job.result);
}

function learned(result) {
  const remarks = [...result.warnings, ...result.skipped_reasons];
  const undoing = el("p", { class: "row" },
    el("button", { type: "button", onclick: () => undo(result, undoing) }, "Undo"),
    result.withheld ? el("button", { type: "button", onclick: (event) => share(result, event.target) }, "Share it anyway") : null);
  return [
    el("h3", {}, `Learned ${result.task}`),
    terms([
      ["Classes", result.classes.join(", ")],
      ["Pictures", `${result.n_images}${result.skipped ? `, ${result.skipped} not readable` : ""}`],
      ["Right on pictures it had not seen", percent(result.validation_accuracy)],
      ["Size", `${size(result.size_bytes)}, ${result.withheld ? "stays on this machine" : "shared with other agents"}`],
    ]),
    remarks.length ? el("h4", {}, "Remarks") : null,
    remarks.length ? el("ul", {}, ...remarks.map((text) => el("li", {}, text))) : null,
    undoing,
  ].filter(Boolean);
}

/** Share a skill that was kept back, for example because a class has few pictures. */
async function share(result, button) {
  try {
    await post(`/v1/skills/${quoted(result.skill)}/share`, { allow_few: "true" });
    button.replaceWith("It is shared now.");
  } catch (error) {
    say(error.message, true);
  }
}

/** Go back to the version before, or withdraw a task that had none. */
async function undo(result, place) {
  try {
    const path = `/v1/skills/${quoted(result.skill)}`;
    const { versions } = await get(`${path}/history`);
    if (versions.length > 1) {
      await postJson(`${path}/restore`, { version: null });
      fill(place, `Undone: ${result.task} is as before.`);
    } else {
      const { skills } = await post(`${path}/withdraw`);
      fill(place, `Undone: ${result.task} is withdrawn (${counted(skills.length, "version")}).`);
    }
  } catch (error) {
    say(error.message, true);
  }
}
