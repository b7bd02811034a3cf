// Decide whose skills are used: trust or block an agent that waits.

import { post, quoted } from "./agent_api.js";
import { $, counted, el, fill, say } from "./page_elements.js";

const TEXTS = { trust: "Trust", block: "Block", unblock: "Unblock" };
const DONE = { trust: "is trusted", block: "is blocked", unblock: "is not blocked any more" };
const CHOICES = { trusted: ["block"], pending: ["trust", "block"], blocked: ["unblock"] };

/** Buttons for the decisions that are possible about an agent; `done` is called after one. */
export function decisions(agent, done) {
  const button = (decision) => el("button", { type: "button", onclick: () => decide(agent, decision, done) },
    TEXTS[decision], el("span", { class: "hidden-text" }, ` ${agent.alias}`));
  return el("span", { class: "row" }, ...CHOICES[agent.standing].map(button));
}

async function decide(agent, decision, done) {
  if (decision === "block" && !confirm(`Block ${agent.alias} (${agent.id}) and remove everything that it taught?`)) return;
  try {
    await post(`/v1/peers/${quoted(agent.id)}/${decision}`);
    await done();
    say(`${agent.alias} ${DONE[decision]}.`);
  } catch (error) {
    say(error.message, true);
  }
}

/** Show how many agents wait for a decision. */
export function showTrust(agents, policy, skills) {
  const waiting = agents.filter((agent) => agent.standing === "pending");
  const number = skills.filter((skill) => waiting.some((agent) => agent.id === skill.author)).length;
  const text = `Waiting for your decision: ${counted(waiting.length, "agent")} with ${counted(number, "skill")}. `
    + "Compare the id with the one on the other machine, and choose Trust or Block below.";
  fill($("mesh-trust"), waiting.length ? el("p", { class: "notice" }, text) : null,
    el("p", { class: "hint" }, `Skills of strangers: ${POLICIES[policy] ?? policy}.`));
}

const POLICIES = { open: "used at once (policy open)", ask: "wait for your decision (policy ask)", invited: "refused (policy invited)" };
