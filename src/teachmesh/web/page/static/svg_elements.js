// Make elements of SVG drawings from values; nothing is parsed.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: svg("text", {x: 4}, "a text"). */
export function svg(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
