// Connect agents: make an invite with its QR code, and join with the invite of another agent.

import { drop, get, post, postJson, quoted } from "./agent_api.js";
import { $, el, fill, say } from "./page_elements.js";
import { svg } from "./svg_elements.js";

const MINUTES = 60;
let endpoints = [];

export function start() {
  $("connect-invite").addEventListener("click", () => invite().catch((error) => say(error.message, true)));
  $("connect-form").addEventListener("submit", (event) => {
    event.preventDefault();
    join($("connect-text").value).catch((error) => say(error.message, true));
  });
}

/** Show the invites that are still open; `running` is the state of the agent's sharing. */
export async function showInvites(running) {
  endpoints = running?.endpoints ?? [];
  const open = (await get("/v1/invites")).invites.filter((made) => made.state === "open");
  const shown = JSON.stringify(open);
  if (shown === $("connect-open").dataset.shown) return;
  $("connect-open").dataset.shown = shown;
  fill($("connect-open"), ...open.map((made) => el("li", {}, `Invite ${made.id}, until ${clock(made.expires_s)} `,
    el("button", { type: "button", onclick: () => revoke(made.id, running) }, "Revoke",
      el("span", { class: "hidden-text" }, ` invite ${made.id}`)))));
}

const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

const isEncrypted = () => endpoints.some((endpoint) => endpoint.startsWith("tls/"));

async function invite() {
  if (endpoints.length && !isEncrypted()) return showAddress();
  const made = await post("/v1/invites", { minutes: MINUTES });
  fill($("connect-made"), copied("Invite", made.invite),
    el("p", {}, `It works once, until ${clock(made.expires_s)}. It is a secret: give it only to the owner of the other agent. `,
      "There, paste it into “Join another agent”, or run ", el("code", {}, "teachmesh up ", el("span", { class: "whole" }, "--join INVITE")), "."),
    made.qr ? drawing(made.qr) : null);
  $("connect-made").querySelector("textarea").focus();
  return showInvites({ endpoints });
}

/** An agent without encryption has no invites; its address is enough for agents of this machine. */
function showAddress() {
  fill($("connect-made"), copied("Address", endpoints[0]),
    el("p", {}, "Agents on this machine can join with this address: paste it into “Join another agent” on the other page."),
    el("p", { class: "hint" }, "For agents on other machines, start this one with ",
      el("code", {}, "teachmesh up ", el("span", { class: "whole" }, "--listen tls/0.0.0.0:7447")), " and invite them then."));
  $("connect-made").querySelector("textarea").focus();
}

function copied(name, text) {
  const field = el("textarea", { readonly: true, rows: text.length > 60 ? 4 : 1, id: "connect-copy", spellcheck: "false",
    onfocus: (event) => event.target.select() }, text);
  const copy = async () => {
    field.select();
    // Without https, browsers offer no clipboard; the text is selected then.
    await (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(() => say(`${name} copied.`),
      () => say(`The ${name.toLowerCase()} is selected: copy it with Ctrl+C.`));
  };
  return el("p", { class: "copied" }, el("label", { for: "connect-copy" }, name), field,
    el("button", { type: "button", onclick: copy }, `Copy the ${name.toLowerCase()}`));
}

function drawing({ size, path }) {
  const picture = svg("svg", { viewBox: `-4 -4 ${size + 8} ${size + 8}`, role: "img", "aria-label": "QR code of the invite", class: "qr" });
  picture.append(svg("rect", { x: -4, y: -4, width: size + 8, height: size + 8 }), svg("path", { d: path }));
  return picture;
}

async function revoke(id, running) {
  try {
    await drop(`/v1/invites/${quoted(id)}`);
    fill($("connect-made"));
    await showInvites(running);
    say(`Invite ${id} is revoked.`);
    $("connect-invite").focus();
  } catch (error) {
    say(error.message, true);
  }
}

async function join(text) {
  $("connect-join").disabled = true;
  try {
    const found = await postJson("/v1/join", { join: text.trim() });
    $("connect-text").value = "";
    say(`Joining ${found.endpoints.join(", ")}. The other agent appears under Peers.`);
  } finally {
    $("connect-join").disabled = false;
  }
}
