// Make elements from texts. Names come from other agents, so nothing here parses HTML.

export const $ = (id) => document.getElementById(id);

/** Make an element: el("p", {class: "hint", onclick}, "text", child). */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Replace the children of an element. */
export const fill = (parent, ...children) => parent.replaceChildren(...children.filter(Boolean));

/** Make a table with a heading per column; cells are texts or elements. */
export function table(header, rows, caption) {
  const head = el("tr", {}, ...header.map((text) => el("th", { scope: "col" }, text)));
  const body = rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, cell))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", { class: "hidden-text" }, caption),
      el("thead", {}, head), el("tbody", {}, ...body)));
}

/** Make a list of terms with their values. */
export const terms = (pairs) =>
  el("dl", {}, ...pairs.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)]));

/** Make one bar per class; the text has the same content. */
export function bars(items) {
  const row = ({ label, share }) => {
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", `${100 * share}%`);
    return el("li", {}, el("span", { class: "name" }, label),
      el("span", { class: "share" }, percent(share)), bar);
  };
  return el("ul", { class: "bars" }, ...items.map(row));
}

export const percent = (share) =>
  share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)} %`;

export const size = (bytes) =>
  bytes < 1e3 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** Write a UTC time such as 2026-11-30T13:59:38Z for people. */
export const moment = (text) => text.replace("T", " ").replace("Z", " UTC");

export const counted = (number, word, words = `${word}s`) => `${number} ${number === 1 ? word : words}`;

/** Say one sentence to everybody, screen readers included. */
export function say(text, isError = false) {
  $("says").textContent = text;
  $("says").classList.toggle("error", isError);
}
