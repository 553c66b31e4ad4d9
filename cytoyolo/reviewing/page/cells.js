// The gallery of a prediction: the cells of a slide by class.
import { get, guarded, store } from "./api.js";
import { element, fitting } from "./parts.js";

const CHUNK = 240; // cells of a class that are shown at first, and that a button adds
const GONE = "(no cell)";
const UNCERTAIN = "(uncertain)";
const KEYS = {
  k: "keep", u: "uncertain", x: "delete", Delete: "delete", z: "undo", y: "redo", j: "next", p: "previous", Escape: "clear",
  c: "find",
};
const ORDERS = {
  low: (a, b) => a.confidence - b.confidence, high: (a, b) => b.confidence - a.confidence,
  image: (a, b) => a.image.localeCompare(b.image) || a.row - b.row,
};
const percent = (share) => (share === null ? "-" : `${(share * 100).toFixed(1)} %`);

export class CellsView {
  constructor(main, overview, complain) {
    main.append(document.getElementById("cells-view").content.cloneNode(true));
    Object.assign(this, { overview, complain, cells: [], selected: new Set(), last: null, shown: {}, busy: false });
    this.by = (id) => document.getElementById(id);
    this.makeClasses();
    this.showProgress(overview.progress);
    for (const { slide } of overview.progress.slides) this.by("slide").append(element("option", { value: slide, textContent: slide }));
    this.by("slide").addEventListener("change", () => this.open());
    for (const id of ["order", "only"]) this.by(id).addEventListener("change", () => this.showCells());
    this.by("slides").addEventListener("submit", (event) => event.preventDefault());
    this.by("class-text").addEventListener("input", () => this.narrow());
    this.by("class-text").addEventListener("keydown", (event) => this.typed(event));
    this.by("gallery").addEventListener("click", (event) => this.click(event));
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-do]");
      if (button) this.act(button.dataset.do);
    });
    document.addEventListener("keydown", (event) => this.key(event));
  }

  begin() { return this.open(); }

  get slide() { return this.by("slide").value; }
  get state() { return this.progress.slides.find(({ slide }) => slide === this.slide); }

  open() {
    return this.guarded(async () => {
      document.body.dataset.slide = "";
      this.shown = {};
      this.take(await get(`/api/cells?${new URLSearchParams({ slide: this.slide })}`));
      this.selected.clear();
      this.showCells();
      document.body.dataset.slide = this.slide;
    });
  }

  take(answer) {
    this.cells = answer.cells;
    if (answer.progress) this.showProgress(answer.progress);
    const rows = answer.differential.map((one) => element("tr", {},
      element("th", { scope: "row", textContent: one.class, title: one.name }),
      element("td", { textContent: one.count }), element("td", { textContent: one.predicted }),
      element("td", { textContent: percent(one.leukocyte_share) })));
    this.by("differential").tBodies[0].replaceChildren(...rows);
  }

  showProgress(progress) {
    this.progress = progress;
    const signed = progress.slides.filter((one) => one.signed).length;
    const corrected = progress.slides.reduce((sum, one) => sum + one.corrected, 0);
    const cells = progress.slides.reduce((sum, one) => sum + one.cells, 0);
    this.by("progress").max = progress.slides.length;
    this.by("progress").value = signed;
    this.by("progress-text").textContent = `${signed} of ${progress.slides.length} slides signed, ` +
      `${corrected.toLocaleString("en")} of ${cells.toLocaleString("en")} cells corrected`;
  }

  // --- the gallery
  sections() {
    const found = new Map();
    for (const cell of this.cells) {
      const name = cell.state === "gone" ? GONE : cell.state === "ignore" ? UNCERTAIN : cell.class;
      if (!found.has(name)) found.set(name, []);
      found.get(name).push(cell);
    }
    const order = [...this.overview.classes.map(({ code }) => code), UNCERTAIN, GONE];
    const names = [...found.keys()].sort((a, b) => order.indexOf(a) - order.indexOf(b));
    return names.map((name) => [name, found.get(name).sort(ORDERS[this.by("order").value])]);
  }

  showCells(focus = null) {
    const only = this.by("only").value;
    const sections = this.sections();
    const options = sections.map(([name]) => element("option", { value: name, textContent: this.title(name) }));
    this.by("only").replaceChildren(element("option", { value: "", textContent: "all" }), ...options);
    this.by("only").value = sections.some(([name]) => name === only) ? only : "";
    const wanted = sections.filter(([name]) => !this.by("only").value || name === only);
    this.by("gallery").replaceChildren(...wanted.map(([name, cells]) => this.section(name, cells)));
    this.order = wanted.flatMap(([, cells]) => cells.map(({ row }) => row));
    this.showState();
    if (focus !== null) this.by("gallery").querySelector(`[data-row="${focus}"]`)?.focus();
  }

  title(name) {
    const found = this.overview.classes.find(({ code }) => code === name);
    if (found) return `${found.code}, ${found.name}`;
    return name === GONE ? "No cell" : "Uncertain";
  }

  section(name, cells) {
    const count = this.shown[name] ?? CHUNK;
    const list = element("div", { className: "cells" }, ...cells.slice(0, count).map((cell) => this.cell(cell)));
    const made = element("section", {}, element("h3", { textContent: `${this.title(name)}: ${cells.length.toLocaleString("en")}` }), list);
    if (cells.length > count) {
      const more = element("button", { type: "button", textContent: `Show ${Math.min(CHUNK, cells.length - count)} more` });
      more.addEventListener("click", () => { this.shown[name] = count + CHUNK; this.showCells(); });
      made.append(more);
    }
    return made;
  }

  cell(cell) {
    const changed = cell.state === "label" && cell.class !== cell.predicted;
    const words = `${cell.confidence.toFixed(2)}${cell.uncertain ? " ?" : ""}${changed ? ` was ${cell.predicted}` : ""}`;
    const picture = element("img", { src: `/crop/${cell.row}`, alt: "", loading: "lazy", width: 96, height: 96 });
    const made = element("button", { type: "button", className: "cell", title: cell.image }, picture, element("span", { textContent: words }));
    made.dataset.row = cell.row;
    made.setAttribute("aria-label", `${this.title(cell.class)}, ${words}, ${cell.image}`);
    made.setAttribute("aria-pressed", String(this.selected.has(cell.row)));
    return made;
  }

  showState() {
    const { state } = this;
    const count = this.selected.size;
    this.by("chosen").textContent = count ? `Selected: ${count.toLocaleString("en")}` : "No cell is selected";
    const when = state.signed.slice(0, 16).replace("T", " ");
    this.by("signed").textContent = state.signed ? `Signed by ${this.overview.reviewer}, ${when} UTC: closed.` : "";
    const allowed = {
      keep: !state.signed, uncertain: !state.signed, delete: !state.signed, clear: count, undo: this.progress.undo,
      redo: this.progress.redo, previous: this.by("slide").selectedIndex > 0,
      next: this.by("slide").selectedIndex < this.by("slide").options.length - 1, sign: true,
    };
    for (const [name, on] of Object.entries(allowed)) document.querySelector(`button[data-do="${name}"]`).disabled = !on;
    document.querySelector('button[data-do="sign"]').textContent = state.signed ? "Open the slide again" : "Sign the slide";
    for (const button of this.by("classes").children) button.disabled = Boolean(state.signed);
    this.allowed = allowed;
  }

  click(event) {
    const button = event.target.closest("button.cell");
    if (!button) return;
    const row = Number(button.dataset.row);
    const from = this.order.indexOf(this.last);
    if (event.shiftKey && from >= 0) {
      const [first, end] = [from, this.order.indexOf(row)].sort((a, b) => a - b);
      for (const one of this.order.slice(first, end + 1)) this.selected.add(one);
    } else if (this.selected.has(row)) this.selected.delete(row);
    else this.selected.add(row);
    this.last = row;
    for (const one of this.by("gallery").querySelectorAll("button.cell")) {
      one.setAttribute("aria-pressed", String(this.selected.has(Number(one.dataset.row))));
    }
    this.showState();
  }

  // --- classes
  makeClasses() {
    for (const { code, name, key } of this.overview.classes) {
      const button = element("button", { type: "button" }, element("b", { textContent: code }), ` ${name} `);
      if (key) button.append(element("kbd", { textContent: key }));
      button.dataset.code = code;
      button.addEventListener("click", () => this.send({ kind: "change", class: code }));
      this.by("classes").append(button);
    }
  }

  narrow() {
    const text = this.by("class-text").value;
    const found = text.trim() ? fitting(this.overview.classes, text) : null;
    for (const button of this.by("classes").children) {
      button.hidden = Boolean(found) && !found.includes(button.dataset.code);
      button.classList.toggle("first", found?.[0] === button.dataset.code);
    }
  }

  typed(event) {
    if (event.key === "Escape") { event.target.value = ""; this.narrow(); event.target.blur(); }
    if (event.key !== "Enter") return;
    const [first] = event.target.value.trim() ? fitting(this.overview.classes, event.target.value) : [];
    if (!first) { this.say("No class fits this text."); return; }
    event.target.value = "";
    this.narrow();
    event.target.blur();
    this.send({ kind: "change", class: first });
  }

  // --- decisions
  async act(name) {
    if (this.allowed && name in this.allowed && !this.allowed[name]) return;
    const step = (by) => { this.by("slide").selectedIndex += by; return this.open(); };
    const local = {
      clear: () => { this.selected.clear(); this.showCells(this.last); }, find: () => this.by("class-text").focus(),
      next: () => step(1), previous: () => step(-1), undo: () => this.turn("undo"), redo: () => this.turn("redo"),
      sign: () => this.sign(),
    };
    await (name in local ? local[name]() : this.send({ kind: name }));
  }

  async send(decision) {
    const focused = document.activeElement?.closest?.("button.cell");
    const rows = this.selected.size ? [...this.selected] : focused ? [Number(focused.dataset.row)] : [];
    if (!rows.length) { this.say("Select a cell first."); return; }
    const place = this.order.indexOf(rows.at(-1));
    const next = this.order.slice(place + 1).find((row) => !rows.includes(row)) ?? null;
    await this.guarded(async () => {
      this.take(await store("/api/decide", { ...decision, rows }, (waits) => this.waiting(waits)));
      this.selected.clear();
      this.showCells(next);
      this.say(`Stored: ${rows.length.toLocaleString("en")} changed${decision.class ? ` to ${decision.class}` : ` (${decision.kind})`}.`);
    });
  }

  async sign() {
    const kind = this.state.signed ? "reopen" : "sign";
    await this.guarded(async () => {
      this.take(await store("/api/decide", { kind, slide: this.slide }, (waits) => this.waiting(waits)));
      this.selected.clear();
      this.showCells();
      this.say(kind === "sign" ? "The slide is signed and closed." : "The slide is open again.");
    });
  }

  async turn(name) {
    await this.guarded(async () => {
      const answer = await store(`/api/${name}`, {}, (waits) => this.waiting(waits));
      this.by("slide").value = answer.slide;
      this.take(answer);
      this.selected.clear();
      this.showCells();
      document.body.dataset.slide = answer.slide;
      this.say(name === "undo" ? "Undone." : "Done again.");
    });
  }

  key(event) {
    if (event.target.closest("input, select, textarea, summary")) return;
    const turned = (event.ctrlKey || event.metaKey) && event.key.toLowerCase();
    if (turned === "z" || turned === "y") {
      event.preventDefault();
      this.act(turned === "y" || event.shiftKey ? "redo" : "undo");
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) { this.walk(event); return; }
    const chosen = this.overview.classes.find(({ key }) => key && key === event.key);
    if (chosen) {
      event.preventDefault();
      if (!this.state.signed) this.send({ kind: "change", class: chosen.code });
      return;
    }
    const name = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
    if (name) { event.preventDefault(); this.act(name); }
  }

  // Go from cell to cell with arrow keys: left and right in order, up and down to the nearest cell of the next line.
  walk(event) {
    const cells = [...this.by("gallery").querySelectorAll("button.cell")];
    const at = cells.indexOf(document.activeElement);
    if (!cells.length) return;
    event.preventDefault();
    if (at < 0) { cells[0].focus(); return; }
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      cells[at + (event.key === "ArrowRight" ? 1 : -1)]?.focus();
      return;
    }
    const here = cells[at].getBoundingClientRect();
    const down = event.key === "ArrowDown";
    const beyond = (down ? cells.slice(at + 1) : cells.slice(0, at).reverse()).map((cell) => [cell, cell.getBoundingClientRect()])
      .filter(([, box]) => (down ? box.top > here.top + 5 : box.top < here.top - 5));
    const line = beyond[0]?.[1].top;
    const near = beyond.filter(([, box]) => Math.abs(box.top - line) < 5)
      .sort((a, b) => Math.abs(a[1].left - here.left) - Math.abs(b[1].left - here.left));
    near[0]?.[0].focus();
  }

  guarded(work) { return guarded(this, work); }

  waiting(waits) {
    this.complain(waits ? "No connection: the last decision is NOT stored yet. It is sent again until it is. What was decided before is stored." : "");
  }

  say(text) { this.by("said").textContent = text; }
}
