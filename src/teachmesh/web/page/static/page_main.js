// Which part of the page is shown, and who uses it.

import { get, hasToken, takeToken, useToken } from "./agent_api.js";
import { $, say } from "./page_elements.js";
import * as ask from "./ask_part.js";
import * as teach from "./teach_part.js";
import * as skills from "./skills_part.js";
import * as mesh from "./mesh_part.js";
import * as runs from "./runs_part.js";

const PARTS = { ask, teach, skills, mesh, runs };

function show(moveFocus) {
  const name = location.hash.slice(1) in PARTS ? location.hash.slice(1) : "ask";
  for (const part of Object.keys(PARTS)) $(part).hidden = part !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  say("");
  document.title = `${$(`${name}-title`).textContent} – teachmesh`;
  if (moveFocus) $(`${name}-title`).focus();
  PARTS[name].show().catch((error) => say(error.message, true));
}

async function nameAgent() {
  const status = await get("/v1/status");
  $("agent-name").textContent = status.alias ?? "";
}

const showSignIn = () => { $("sign-in").hidden = hasToken(); };

takeToken();
showSignIn();
addEventListener("signed-out", () => { $("sign-in").hidden = false; });
$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken($("token").value);
  $("token").value = "";
  showSignIn();
  say("Token saved in this browser.");
});
for (const part of Object.values(PARTS)) part.start();
addEventListener("hashchange", () => {
  takeToken();
  showSignIn();
  if (location.hash !== "#content") show(true);
});
show(false);
nameAgent().catch((error) => say(error.message, true));
