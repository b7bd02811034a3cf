// One class of a task that is taught: its name and its pictures.

import { openCamera } from "./camera.js";
import { counted, el, fill } from "./page_elements.js";

const SHOWN = 6;
let number = 0;

export class ClassBox {
  constructor(name, onRemove) {
    number += 1;
    this.files = [];
    this.input = el("input", { id: `class-${number}`, maxlength: 128, autocomplete: "off", placeholder: "M4" });
    this.input.value = name;
    const files = el("input", { id: `files-${number}`, class: "hidden-input", type: "file", accept: "image/*", multiple: true });
    files.addEventListener("change", () => {
      this.add([...files.files]);
      files.value = "";
    });
    this.place = el("div", {});
    this.pictures = el("div", { class: "thumbnails" });
    this.count = el("span", { role: "status" }, "no picture yet");
    const remove = () => {
      this.element.remove();
      onRemove();
    };
    this.element = el("fieldset", { class: "class-box" }, el("legend", {}, `Class ${number}`),
      el("p", {}, el("label", { for: this.input.id }, "Name of the class"), this.input),
      el("p", { class: "row" },
        el("label", { class: "button", for: files.id }, "Choose pictures"), files,
        el("button", { type: "button", onclick: () => this.shoot() }, "Use the camera"),
        el("button", { type: "button", onclick: remove }, "Remove"), this.count),
      this.place, this.pictures);
    this.acceptDrops();
  }

  get name() { return this.input.value.trim(); }
  set name(text) { this.input.value = text; }

  focus() { this.input.focus(); }

  shoot() { return openCamera(this.place, (file) => this.add([file])); }

  add(files, draw = true) {
    this.files.push(...files);
    if (draw) this.draw();
  }

  draw() {
    this.count.textContent = this.files.length ? counted(this.files.length, "picture") : "no picture yet";
    fill(this.pictures, ...this.files.slice(-SHOWN).map((file) =>
      el("img", { alt: file.name, src: URL.createObjectURL(file) })));
  }

  acceptDrops() {
    this.element.addEventListener("dragover", () => this.element.classList.add("over"));
    this.element.addEventListener("dragleave", () => this.element.classList.remove("over"));
    this.element.addEventListener("drop", (event) => {
      this.element.classList.remove("over");
      this.add([...event.dataTransfer.files].filter((file) => file.type.startsWith("image/")));
    });
  }
}
