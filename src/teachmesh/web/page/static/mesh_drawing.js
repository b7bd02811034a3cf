// A drawing of the agents and of the tasks that each of them taught.

import { counted, el, fill } from "./page_elements.js";
import { svg } from "./svg_elements.js";

const ROW = 30;
const MOST = 12;

const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** Draw agents on the left, and a line to each task that they taught on the right. */
export function drawMesh(figure, agents, skills) {
  const used = skills.slice(0, MOST);
  const authors = agents.slice(0, MOST);
  if (!authors.length) return fill(figure, el("p", {}, "Nothing to draw yet."));
  const rows = Math.max(authors.length, used.length, 1);
  const place = (n, count) => ROW * (0.5 + n + (rows - count) / 2);
  const picture = svg("svg", { viewBox: `0 0 400 ${ROW * rows}`, role: "img", "aria-labelledby": "mesh-says" });
  used.forEach((skill, n) => {
    const from = authors.findIndex((author) => author.id === skill.author);
    if (from < 0) return;
    const [y1, y2] = [place(from, authors.length), place(n, used.length)];
    picture.append(svg("path", { d: `M150 ${y1}C210 ${y1} 190 ${y2} 250 ${y2}`, class: `line shade-${from % 4}` }));
  });
  authors.forEach((author, n) => label(picture, 8, place(n, authors.length), author.alias, author.own ? "agent me" : "agent"));
  used.forEach((skill, n) => label(picture, 250, place(n, used.length), skill.task, "task"));
  const says = authors.map((author) => sentence(author, skills)).join(" ");
  const more = skills.length > used.length ? ` ${skills.length - used.length} more are not drawn.` : "";
  return fill(figure, picture, el("figcaption", { id: "mesh-says" }, says + more));
}

function label(picture, x, y, text, kind) {
  picture.append(svg("rect", { x, y: y - 12, width: 142, height: 24, rx: 6, class: kind }),
    svg("text", { x: x + 8, y: y + 4, class: kind }, cut(text, 16)));
}

function sentence(author, skills) {
  const tasks = skills.filter((skill) => skill.author === author.id).length;
  return `${author.alias} taught ${tasks ? counted(tasks, "task") : "nothing yet"}.`;
}
