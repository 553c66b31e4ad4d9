// The buttons of the classes, and the field in which a code or a name is typed.
import { element, fitting } from "./parts.js";

export class ClassChooser {
  // `choose` is called with a code, `leave` when the field is left, `say` with words for the reviewer.
  constructor(classes, { choose, leave, say }) {
    Object.assign(this, { classes, choose, leave, say });
    this.field = document.getElementById("class-text");
    this.list = document.getElementById("classes");
    for (const { code, name, key } of classes) {
      const button = element("button", { type: "button" }, element("b", { textContent: code }), ` ${name} `);
      if (key) button.append(element("kbd", { textContent: key }));
      button.dataset.code = code;
      button.addEventListener("click", () => choose(code));
      this.list.append(button);
    }
    this.field.addEventListener("input", () => this.narrow());
    this.field.addEventListener("keydown", (event) => this.typed(event));
  }

  // The code of the class that has a key, or undefined.
  ofKey(key) { return this.classes.find((one) => one.key && one.key === key)?.code; }

  focus() { this.field.focus(); }

  clear() {
    this.field.value = "";
    this.narrow();
  }

  fitting() { return this.field.value.trim() ? fitting(this.classes, this.field.value) : []; }

  narrow() {
    const found = this.fitting();
    const all = !this.field.value.trim();
    for (const button of this.list.children) {
      button.hidden = !all && !found.includes(button.dataset.code);
      button.classList.toggle("first", found[0] === button.dataset.code);
    }
  }

  // Show which class a cell has.
  mark(code) {
    for (const button of this.list.children) button.setAttribute("aria-pressed", String(button.dataset.code === code));
  }

  enable(on) { for (const button of this.list.children) button.disabled = !on; }

  typed(event) {
    if (event.key !== "Escape" && event.key !== "Enter") return;
    const [first] = this.fitting();
    if (event.key === "Enter" && !first) { this.say("No class fits this text."); return; }
    this.clear();
    this.leave();
    if (event.key === "Enter") this.choose(first);
  }
}
