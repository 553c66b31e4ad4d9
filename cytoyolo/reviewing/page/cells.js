// The gallery of a prediction: the cells of a slide by class.
import { get, guarded, store } from "./api.js";
import { ClassChooser } from "./classes.js";
import { Field } from "./field.js";
import { element, isHeld, walk } from "./parts.js";

const CHUNK = 240; // cells of a class that are shown at first, and that a button adds
const GONE = "(no cell)";
const UNCERTAIN = "(uncertain)";
const KEYS = {
  k: "keep", u: "uncertain", x: "delete", Delete: "delete", z: "undo", y: "redo", j: "next", p: "previous", Escape: "clear",
  c: "find", v: "view",
};
// The keys of the image of a cell, besides those of the gallery.
const FIELD_KEYS = {
  n: "draw", Enter: "store", f: "fit", g: "cell", "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", h: "hide", b: "contrast",
  ",": "before", ".": "after", Escape: "close", v: "close",
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ORDERS = { // drawn cells have no confidence
  low: (a, b) => (a.confidence ?? 2) - (b.confidence ?? 2), high: (a, b) => (b.confidence ?? 2) - (a.confidence ?? 2),
  image: (a, b) => a.image.localeCompare(b.image) || a.row - b.row,
};
const percent = (share) => (share === null ? "-" : `${(share * 100).toFixed(1)} %`);

export class CellsView {
  constructor(main, overview, complain) {
    main.append(document.getElementById("cells-view").content.cloneNode(true));
    Object.assign(this, { overview, complain, cells: [], selected: new Set(), last: null, shown: {}, busy: false, at: "" });
    this.by = (id) => document.getElementById(id);
    this.field = new Field({ onChange: () => this.showField() });
    this.chooser = new ClassChooser(overview.classes, {
      choose: (code) => this.send({ kind: "change", class: code }), leave: () => document.activeElement.blur(),
      say: (text) => this.say(text),
    });
    this.showProgress(overview.progress);
    for (const { slide } of overview.progress.slides) this.by("slide").append(element("option", { value: slide, textContent: slide }));
    this.by("slide").addEventListener("change", () => this.open());
    for (const id of ["order", "only"]) this.by(id).addEventListener("change", () => this.showCells());
    this.by("slides").addEventListener("submit", (event) => event.preventDefault());
    this.by("gallery").addEventListener("click", (event) => this.click(event));
    this.by("gallery").addEventListener("dblclick", (event) => {
      const button = event.target.closest("button.cell");
      if (button) this.view(Number(button.dataset.row));
    });
    document.addEventListener("click", (event) => {
      // A button that was clicked would take the Enter that stores a box.
      if (event.detail && this.field.open && event.target.closest("button")) this.field.stage.overlay.focus();
      const button = event.target.closest("button[data-do]");
      if (button) this.act(button.dataset.do);
    });
    document.addEventListener("keydown", (event) => this.key(event));
  }

  begin() { return this.open(); }

  get slide() { return this.by("slide").value; }
  get state() { return this.progress.slides.find(({ slide }) => slide === this.slide); }

  // Open the slide that was chosen. The menu names the slide whose cells are shown, which is the one that is signed: it goes
  // on when the other cells are there, and stays if something else is under way or there is no answer.
  open() {
    const wanted = this.slide;
    this.by("slide").value = this.at || wanted;
    return this.guarded(async () => {
      document.body.dataset.slide = "";
      const answer = await get(`/api/cells?${new URLSearchParams({ slide: wanted })}`);
      this.field.close();
      this.shown = {};
      this.by("slide").value = this.at = wanted;
      this.take(answer);
      this.selected.clear();
      this.showCells();
      document.body.dataset.slide = this.slide;
    });
  }

  take(answer) {
    Object.assign(this, { cells: answer.cells, images: answer.images });
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
    // A decision is about cells that are seen, so those that a menu or the length of a list hides are not selected.
    this.order = wanted.flatMap(([name, cells]) => cells.slice(0, this.count(name)).map(({ row }) => row));
    const seen = new Set(this.order);
    this.selected = new Set([...this.selected].filter((row) => seen.has(row)));
    if (!seen.has(this.last)) this.last = null;
    this.showState();
    if (focus !== null) this.by("gallery").querySelector(`[data-row="${focus}"]`)?.focus();
  }

  title(name) {
    const found = this.overview.classes.find(({ code }) => code === name);
    if (found) return `${found.code}, ${found.name}`;
    return name === GONE ? "No cell" : "Uncertain";
  }

  // How many cells of a class are shown.
  count(name) { return this.shown[name] ?? CHUNK; }

  section(name, cells) {
    const count = this.count(name);
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
    const changed = cell.state === "label" && cell.predicted && cell.class !== cell.predicted;
    const certain = cell.predicted ? cell.confidence.toFixed(2) : "drawn";
    const words = `${certain}${cell.uncertain ? " ?" : ""}${changed ? ` was ${cell.predicted}` : ""}`;
    const picture = element("img", { src: `/crop/${cell.row}?box=${cell.box.join("_")}`, alt: "", loading: "lazy", width: 96, height: 96 });
    const made = element("button", { type: "button", className: "cell", title: cell.image }, picture, element("span", { textContent: words }));
    made.dataset.row = cell.row;
    made.setAttribute("aria-label", `${this.title(cell.class)}, ${words}, ${cell.image}`);
    made.setAttribute("aria-pressed", String(this.selected.has(cell.row)));
    return made;
  }

  showState() {
    const { state } = this;
    const count = this.field.open ? Number(this.field.selected !== null) : this.selected.size;
    this.by("chosen").textContent = this.field.isNew ? "A new cell: choose its class" : count ? `Selected: ${count.toLocaleString("en")}` : "No cell is selected";
    const when = state.signed.slice(0, 16).replace("T", " ");
    this.by("signed").textContent = state.signed ? `Signed by ${this.overview.reviewer}, ${when} UTC: closed.` : "";
    const allowed = {
      keep: !state.signed, uncertain: !state.signed, delete: !state.signed, clear: count, undo: this.progress.undo,
      redo: this.progress.redo, previous: this.by("slide").selectedIndex > 0,
      next: this.by("slide").selectedIndex < this.by("slide").options.length - 1, sign: true,
      view: !this.field.open, draw: !state.signed && this.field.open && this.field.item.size, store: !state.signed && this.field.isMoved,
      before: this.field.place !== this.images[0], after: this.field.place !== this.images.at(-1), cell: this.field.selected !== null,
    };
    for (const [name, on] of Object.entries(allowed)) document.querySelector(`button[data-do="${name}"]`).disabled = !on;
    document.querySelector('button[data-do="sign"]').textContent = state.signed ? "Open the slide again" : "Sign the slide";
    this.chooser.enable(!state.signed);
    this.allowed = allowed;
  }

  // --- the image of a cell
  async view(row) {
    const cell = this.cells.find((one) => one.row === row);
    await this.guarded(() => this.field.show(cell?.place ?? this.images[0], this.cells, cell?.row ?? null));
    this.showState();
  }

  async step(by) {
    const place = this.images[this.images.indexOf(this.field.place) + by];
    if (place === undefined) return;
    await this.guarded(() => this.field.show(place, this.cells, null));
    this.showState();
  }

  close() {
    if (this.field.reset()) return;
    const { selected } = this.field;
    this.field.close();
    this.showCells(selected ?? this.last);
  }

  showField() {
    if (!this.field?.open) return;
    const { stage, isNew, isMoved, selected } = this.field;
    const cell = this.cells.find(({ row }) => row === selected);
    const name = cell ? `${cell.state === "ignore" ? "Uncertain" : this.title(cell.class)}. ` : "";
    const state = isNew ? " (new: choose its class)" : isMoved ? " (changed: Enter stores it)" : "";
    const box = stage.box ? `Box: ${stage.box.map((value) => Math.round(value * 100) / 100).join(", ")}${state}` : "Click on a cell, or draw one";
    this.by("coordinates").textContent = `${name}${box}, image of ${this.field.item.size?.join(" x ") ?? "unknown"} pixels`;
    document.querySelector('button[data-do="draw"]').setAttribute("aria-pressed", String(stage.drawing));
    this.showState();
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

  // --- decisions
  async act(name) {
    if (this.allowed && name in this.allowed && !this.allowed[name]) return;
    const { stage } = this.field;
    const slide = (by) => { this.by("slide").selectedIndex += by; return this.open(); };
    const local = {
      clear: () => { this.selected.clear(); this.showCells(this.last); }, find: () => this.chooser.focus(),
      next: () => slide(1), previous: () => slide(-1), undo: () => this.turn("undo"), redo: () => this.turn("redo"),
      sign: () => this.sign(), view: () => this.view(this.rows().at(-1)), close: () => this.close(),
      before: () => this.step(-1), after: () => this.step(1), draw: () => stage.begin(), fit: () => stage.fit(),
      cell: () => stage.toCell(), "zoom-in": () => stage.zoom(1.3), "zoom-out": () => stage.zoom(1 / 1.3),
      hide: () => document.querySelector('button[data-do="hide"]').setAttribute("aria-pressed", String(this.field.hide())),
      contrast: () => this.nextContrast(), store: () => this.send({ kind: "change" }),
    };
    await (name in local ? local[name]() : this.send({ kind: name }));
  }

  nextContrast() {
    const select = this.by("contrast");
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    select.dispatchEvent(new Event("change"));
  }

  // The cells that a decision is about.
  rows() {
    if (this.field.open) return this.field.selected === null ? [] : [this.field.selected];
    const focused = document.activeElement?.closest?.("button.cell");
    return this.selected.size ? [...this.selected] : focused ? [Number(focused.dataset.row)] : [];
  }

  async send(decision) {
    const rows = this.rows();
    const { field } = this;
    const named = decision.kind === "change";
    const box = named && (field.isNew || field.isMoved) ? { box: field.stage.box } : {};
    if (named && decision.class && field.isNew) {
      await this.put({ ...decision, ...box, kind: "add", place: field.place }, null, `Stored: a cell was added (${decision.class}).`);
      return;
    }
    if (!rows.length) { this.say(field.open ? "Click on a cell first, or draw one." : "Select a cell first."); return; }
    const place = this.order.indexOf(rows.at(-1));
    const next = this.order.slice(place + 1).find((row) => !rows.includes(row)) ?? null;
    const what = decision.class ? ` to ${decision.class}` : ` (${box.box ? "box" : decision.kind})`;
    await this.put({ ...decision, ...box, rows }, next, `Stored: ${rows.length.toLocaleString("en")} changed${what}.`);
  }

  // Store a decision, and show the cells as they are then.
  async put(decision, next, words) {
    await this.guarded(async () => {
      const answer = await store("/api/decide", decision, (waits) => this.waiting(waits));
      this.take(answer);
      this.selected.clear();
      this.showCells(this.field.open ? null : next);
      this.redraw(answer.drawn ?? decision.rows?.[0] ?? null);
      this.say(words);
    });
  }

  // Draw the cells of the image that is shown, if one is shown.
  redraw(row) {
    if (!this.field.open) return;
    this.field.draw(this.cells, row, true);
    this.field.stage.overlay.focus();
  }

  async sign() {
    const kind = this.state.signed ? "reopen" : "sign";
    await this.guarded(async () => {
      this.take(await store("/api/decide", { kind, slide: this.slide }, (waits) => this.waiting(waits)));
      this.selected.clear();
      this.showCells();
      this.redraw(this.field.selected);
      this.say(kind === "sign" ? "The slide is signed and closed." : "The slide is open again.");
    });
  }

  async turn(name) {
    await this.guarded(async () => {
      const answer = await store(`/api/${name}`, {}, (waits) => this.waiting(waits));
      if (this.slide !== answer.slide) this.field.close();
      this.by("slide").value = this.at = answer.slide;
      this.take(answer);
      this.selected.clear();
      this.showCells();
      this.redraw(this.field.selected);
      document.body.dataset.slide = answer.slide;
      this.say(name === "undo" ? "Undone." : "Done again.");
    });
  }

  key(event) {
    if (event.target.closest("input, select, textarea, summary")) return;
    const keys = this.field.open ? { ...KEYS, ...FIELD_KEYS } : KEYS;
    const name = keys[event.key] ?? keys[event.key.toLowerCase()];
    if (isHeld(event, name)) return;
    const turned = (event.ctrlKey || event.metaKey) && event.key.toLowerCase();
    if (turned === "z" || turned === "y") {
      event.preventDefault();
      this.act(turned === "y" || event.shiftKey ? "redo" : "undo");
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    if (event.key in ARROWS) { this.arrow(event); return; }
    if (event.altKey || (event.target.closest("button") && ["Enter", " "].includes(event.key))) return;
    const chosen = this.chooser.ofKey(event.key);
    if (chosen) {
      event.preventDefault();
      if (!this.state.signed) this.send({ kind: "change", class: chosen });
      return;
    }
    if (name) { event.preventDefault(); this.act(name); }
  }

  // In an image, arrow keys move the box.
  arrow(event) {
    if (!this.field.open) { if (!event.altKey) walk(event, [...this.by("gallery").querySelectorAll("button.cell")]); return; }
    const [x, y] = ARROWS[event.key].map((value) => value * (event.shiftKey ? 10 : 1));
    if (!this.state.signed && this.field.stage.move(x, y, event.altKey)) event.preventDefault();
  }

  guarded(work) { return guarded(this, work); }

  waiting(waits) {
    this.complain(waits ? "No connection: the last decision is NOT stored yet. It is sent again until it is. What was decided before is stored." : "");
  }

  say(text) { this.by("said").textContent = text; }
}
