// Mesh: state of this agent, peers, who taught what, and events as they happen.

import { follow, get } from "./agent_api.js";
import * as connect from "./connect_view.js";
import { drawMesh } from "./mesh_drawing.js";
import { $, counted, el, fill, size, table, terms } from "./page_elements.js";
import { decisions, showTrust } from "./trust_view.js";

const KEPT = 100;
const REFRESH_MS = 2000;
const TEXTS = {
  ready: (e) => `${e.alias} listens on ${e.endpoints.join(", ")}`,
  understood: (e) => `learning ${e.task}: ${e.summary}`,
  saved: (e) => `saved ${e.task} (${e.skill.slice(0, 12)})`,
  received: (e) => `received ${e.task} from ${e.alias}`,
  joined: (e) => `joined ${e.endpoint}`,
  unreachable: (e) => `cannot reach ${e.endpoint} (${e.reason}), trying again`,
  peer_came: (e) => `${e.alias} came with ${counted(e.count, "skill")}`,
  peer_left: (e) => `${e.alias} left`,
  fetching: (e) => `fetching ${counted(e.missing, "skill")}`,
  skipped: (e) => `skipped ${e.task}: ${e.reason}`,
  quarantined: (e) => `quarantined ${e.task} from ${e.alias}: ${e.message}`,
  released: (e) => `released ${e.task} from ${e.alias}`,
  invited: (e) => `${e.alias} joined with an invite`,
  enrolled: (e) => `joined the mesh of ${e.alias} with an invite`,
  part: (e) => `received a part of ${e.task} by ${e.author}`,
  contributor: (e) => `invited to share in learning ${e.task}`,
  peers_changed: (e) => `${e.came} agents came, ${e.left} left`,
  stopped: () => "sharing ended",
  stats: () => "",
  withdrawn: (e) => `${e.alias} withdrew ${e.task}`,
  refused: (e) => `refused ${e.skill.slice(0, 12)}: ${e.message}`,
  synced: (e) => `in sync with ${counted(e.peers, "agent")}: ${counted(e.count, "skill")}`,
  error: (e) => `error: ${e.message}`,
};

export function start() {
  follow(addEvent);
  connect.start();
  setInterval(() => {
    if (!$("mesh").hidden) show().catch(() => {});
  }, REFRESH_MS);
}

let shownState = "";

/** Draw the state again if it changed, so that nobody loses the focus on a button. */
export async function show() {
  const [status, { agents, policy }, { skills }] =
    await Promise.all([get("/v1/status"), get("/v1/peers"), get("/v1/skills")]);
  await connect.showInvites(status.running);
  const state = JSON.stringify([status, agents, policy, skills], (key, value) =>
    (["last_seen_s", "written_s", "peers"].includes(key) ? undefined : value));
  if (state === shownState) return;
  shownState = state;
  fill($("mesh-state"), terms(stateOf(status)));
  showTrust(agents, policy, skills);
  const others = agents.filter((agent) => !agent.own);
  fill($("mesh-peers"), others.length ? peerTable(others)
    : el("p", {}, "No other agent yet. Connect one above."));
  drawMesh($("mesh-drawing"), agents, skills);
}

function fetching(running) {
  if (!running?.missing) return "nothing, all that the others offer is here";
  return `${counted(running.missing, "skill")} missing, ${running.fetching} being fetched now`;
}

const stateOf = (status) => [
  ["This agent", `${status.alias ?? "new"} (${status.id ?? "no key yet"})`],
  ["Listens on", status.running?.endpoints.join(", ") || "does not share now"],
  ["Holds", `${counted(status.skills, "skill")}, ${counted(status.classes, "class", "classes")}, ${size(status.size_bytes)}`],
  ["Fetching", fetching(status.running)],
  ["Digest", el("code", {}, status.digest.slice(0, 12))],
];

const peerTable = (others) => table(["Agent", "Decide", "State", "Id", "Skills here"], others.map((agent) => [
  agent.stranger ? `${agent.alias} (a stranger with this alias)` : agent.alias,
  decisions(agent, show), stateOfPeer(agent), el("code", {}, agent.id), String(agent.skills),
]), "Peers");

function stateOfPeer(agent) {
  if (agent.standing === "blocked") return "blocked";
  if (agent.standing === "pending") return "waits for your decision";
  if (agent.in_sync === null) return "away";
  return agent.in_sync ? "in sync" : "exchanging";
}

/** Events of other versions may lack items; their name is enough then. */
function textOf(event) {
  try {
    return TEXTS[event.event](event);
  } catch {
    return String(event.event);
  }
}

function addEvent(event) {
  const text = textOf(event);
  if (!text) return;
  const time = new Date(event.time).toLocaleTimeString();
  const kind = ["refused", "error", "quarantined", "unreachable"].includes(event.event) ? "error" : "";
  $("mesh-events").prepend(el("li", { class: kind }, el("time", {}, time), ` ${text}`));
  while ($("mesh-events").children.length > KEPT) $("mesh-events").lastChild.remove();
}
