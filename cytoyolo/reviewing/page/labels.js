// The review of labels: an item at a time, a key a decision.
import { get, guarded, store } from "./api.js";
import { ClassChooser } from "./classes.js";
import { element, isHeld } from "./parts.js";
import { Views } from "./views.js";

const AHEAD = 3;
const KINDS = {
  accept: "accepted", keep: "kept", change: "changed", ignore: "made an ignore region", delete: "deleted",
  skip: "skipped", add: "a box was added", comment: "commented",
};
const KEYS = {
  a: "accept", k: "keep", i: "ignore", x: "delete", Delete: "delete", s: "skip", z: "undo", y: "redo", j: "next",
  p: "previous", PageDown: "next", PageUp: "previous", f: "fit", g: "cell", h: "hide", n: "draw", "+": "zoom-in",
  "=": "zoom-in", "-": "zoom-out", Enter: "store", Escape: "cancel", c: "find", m: "comment", b: "contrast",
  o: "other",
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
// What keeping means, by what the item is about.
const KEEP = { row: "Keep the label", image: "Keep all labels", found: "Leave it without a label" };
const STATUSES = { left: "left to decide", skipped: "skipped", decided: "decided", all: "all" };

export class LabelsView {
  constructor(main, overview, complain) {
    main.append(document.getElementById("labels-view").content.cloneNode(true));
    Object.assign(this, { overview, complain, places: [], at: 0, item: null, busy: false });
    this.by = (id) => document.getElementById(id);
    this.views = new Views({ onChange: () => this.showBox(), onSelect: (other) => this.select(other) });
    this.stage = this.views.stage;
    this.makeFilters();
    this.chooser = new ClassChooser(overview.classes, {
      choose: (code) => this.choose(code), leave: () => this.stage.overlay.focus(), say: (text) => this.say(text),
    });
    this.showProgress(overview.progress);
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("click", (event) => {
      if (!event.target.closest("button")) return;
      if (event.detail) this.leaveButton();
      const button = event.target.closest("button[data-do]");
      if (button) this.act(button.dataset.do);
    });
    this.by("contrast").addEventListener("change", (event) => this.contrast(event.target.value));
    this.by("comment-form").addEventListener("submit", (event) => { event.preventDefault(); this.comment(); });
  }

  begin() { return this.refilter(); }

  // --- filters and progress
  makeFilters() {
    const form = this.by("filters");
    const add = (name, title, options) => {
      const select = element("select", { name });
      for (const [value, text] of options) select.append(element("option", { value, textContent: text }));
      form.append(element("label", {}, `${title} `, select));
    };
    add("status", "Show", Object.entries(STATUSES));
    for (const [name, title] of [["rule", "Rule"], ["class", "Class"], ["group", "Group"]]) {
      const values = this.overview.filters[name];
      if (values.length < (name === "group" ? 1 : 2)) continue;
      add(name, title, [["", "all"], ...values.map(({ value, items }) => [value, `${value} (${items})`])]);
    }
    form.addEventListener("change", () => this.refilter());
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  async refilter() {
    const wanted = new URLSearchParams([...new FormData(this.by("filters"))].filter(([, value]) => value));
    await this.guarded(async () => {
      this.places = (await get(`/api/places?${wanted}`)).places;
      this.at = 0;
      await this.open();
    });
  }

  get status() { return this.by("filters").elements.status.value; }

  showProgress(progress) {
    const done = progress.items - progress.left;
    this.progress = progress;
    this.by("progress").max = progress.items;
    this.by("progress").value = done;
    const skipped = progress.skipped ? `, ${progress.skipped.toLocaleString("en")} skipped` : "";
    this.by("progress-text").textContent =
      `${progress.decided.toLocaleString("en")} of ${progress.items.toLocaleString("en")} decided${skipped}, ` +
      `${progress.left.toLocaleString("en")} left`;
  }

  // --- the item
  async open() {
    const place = this.places[this.at];
    if (place === undefined) { this.showNothing(); return; }
    await this.present(await get(`/api/item/${place}?next=${this.ahead(this.at)}`));
  }

  ahead(at) { return this.places.slice(at + 1, at + 1 + AHEAD); }

  async present(item) {
    const images = await this.views.load(item);
    this.item = item;
    this.showItem(images);
    this.leaveButton();
    this.views.ahead(item.ahead);
  }

  // The keys go to the image. A button that kept the focus would take the Enter that stores a box: pressed once for one item,
  // it would decide about the next one too. This comes after an item is shown and after a click of the mouse (event.detail);
  // who goes to a button with Tab presses it with Enter.
  leaveButton() { if (document.activeElement?.closest("button")) this.stage.overlay.focus(); }

  showNothing() {
    this.item = null;
    this.views.showNothing();
    this.by("empty").textContent = this.progress.left ? "Nothing fits these filters." : "Everything is decided.";
    this.by("empty").hidden = false;
    this.by("heading").textContent = this.by("empty").textContent;
    for (const id of ["texts", "label", "alike", "coordinates"]) this.by(id).replaceChildren();
    document.body.dataset.place = "";
    this.enable();
  }

  // The label of the item as it was left.
  own() {
    const { subject, decision, label, box } = this.item;
    if (subject.startsWith("image:")) return null;
    return { subject, class: decision?.class || label?.class || "", box: decision?.box ?? box, state: "label" };
  }

  showItem(images) {
    const { item } = this;
    this.views.show(item, this.own(), images);
    const where = item.line ? `Line ${item.line}: ` : "";
    this.by("heading").textContent = `${where}${item.image.trim() || "(no image name)"}`;
    this.by("keep").textContent = KEEP[item.subject.split(":", 1)[0]];
    this.by("texts").replaceChildren(...item.texts.map((text) => element("li", { textContent: text })));
    this.by("label").replaceChildren(...this.labelWords());
    this.by("comment").value = item.comment;
    this.showAlike();
    this.chooser.clear();
    this.chooser.mark(item.decision?.class || item.label?.class);
    document.body.dataset.place = String(item.place);
    this.enable();
  }

  labelWords() {
    const { item } = this;
    const words = [];
    if (item.label) words.push("Label: ", element("b", { textContent: this.named(item.label.class) || "(none)" }), ". ");
    const suggested = item.suggestion;
    if (suggested) words.push("Suggestion: ", element("b", { textContent: this.asked(suggested) }), ". ");
    if (item.decision) {
      words.push(element("span", { className: "decided" }, `You: ${KINDS[item.decision.kind] ?? item.decision.kind}` +
        `${item.decision.class ? ` (${item.decision.class})` : ""}.`));
    }
    return words;
  }

  named(code) {
    const found = this.overview.classes.find((one) => one.code === code);
    return found ? `${code}, ${found.name}` : code === "msk" ? "an ignore region" : code;
  }

  asked({ state, class: code, box }) {
    if (state === "gone") return this.item.subject.startsWith("image:") ? "delete all rows of the image" : "delete the row";
    if (state === "ignore") return "an ignore region";
    const parts = [code ? this.named(code) : "", box ? "the green box" : ""].filter(Boolean);
    return parts.join(" and ") || "as it is";
  }

  showAlike() {
    const groups = this.item.alike.map(({ class: code, rows }) => {
      const pictures = rows.map((row) => element("img", { src: `/crop/${row}`, alt: `A cell labelled ${code}`, width: 96, height: 96 }));
      return element("section", {}, element("h3", { textContent: `Cells labelled ${this.named(code)}` }),
        element("div", { className: "crops" }, ...pictures));
    });
    this.by("alike").replaceChildren(...groups);
  }

  showBox() {
    const box = this.stage?.box;
    const numbers = box ? box.map((value) => Math.round(value * 100) / 100).join(", ") : "none";
    const state = !box ? "" : this.stage.selected === null ? " (new: choose its class)" : this.stage.dirty ? " (changed: Enter stores it)" : "";
    const of = this.stage?.size ? `, image of ${this.stage.size.join(" x ")} pixels` : "";
    this.by("coordinates").textContent = `Box: ${numbers}${state}${of}`;
    this.enable();
  }

  select(other) {
    this.stage.select(other.subject, other.box);
    this.say(`Selected: ${this.named(other.class)}. Choose a class, move the box, or delete it.`);
  }

  enable() {
    const stage = this.stage;
    const own = this.item && stage?.selected === this.item.subject;
    const allowed = {
      accept: this.item?.suggestion, keep: this.item, skip: this.item, ignore: stage?.box, delete: stage?.selected,
      store: stage?.dirty && stage.selected, undo: this.progress?.undo, redo: this.progress?.redo,
      previous: this.at > 0, next: this.at < this.places.length - 1, draw: stage?.size, cell: stage?.box, fit: stage?.size,
    };
    if (own && this.item.subject.startsWith("found:")) Object.assign(allowed, { delete: false, store: false });
    for (const [name, on] of Object.entries(allowed)) {
      for (const button of document.querySelectorAll(`button[data-do="${name}"]`)) button.disabled = !on;
    }
    document.querySelector('button[data-do="draw"]')?.setAttribute("aria-pressed", String(Boolean(stage?.drawing)));
    this.allowed = allowed;
  }

  choose(code) {
    const { stage, item } = this;
    if (!item) return;
    if (stage.selected === null && stage.box && stage.dirty) {
      this.send({ kind: "add", image: this.views.image, class: code, box: stage.box }, false);
    } else if (stage.selected) {
      const moved = stage.dirty ? { box: stage.box } : {};
      this.send({ kind: "change", subject: stage.selected, class: code, ...moved }, stage.selected === item.subject);
    } else this.say("Click on a box first, or draw a box.");
  }

  // --- decisions
  async act(name) {
    const { stage, item } = this;
    if (this.allowed && name in this.allowed && !this.allowed[name]) return;
    const local = {
      "zoom-in": () => stage.zoom(1.3), "zoom-out": () => stage.zoom(1 / 1.3), fit: () => stage.fit(), cell: () => stage.toCell(),
      cancel: () => this.cancel(), next: () => this.step(1), previous: () => this.step(-1), draw: () => stage.begin(),
      find: () => this.chooser.focus(), comment: () => this.by("comment").focus(), hide: () => this.hide(),
      contrast: () => this.nextContrast(), other: () => this.swap(), undo: () => this.turn("undo"), redo: () => this.turn("redo"),
      store: () => this.send({ kind: "change", subject: stage.selected, box: stage.box }, stage.selected === item.subject),
    };
    if (name in local) { await local[name](); return; }
    if (!item || !(name in KINDS)) return;
    const aboutSelected = name === "ignore" || name === "delete";
    const subject = aboutSelected ? stage.selected : item.subject;
    if (aboutSelected && subject === null) { this.cancel(); return; }
    const box = name === "ignore" && stage.dirty ? { box: stage.box } : {};
    await this.send({ kind: name, subject, ...box }, subject === item.subject);
  }

  // Store a decision; then show the next item if it was about the item itself, or else this item again.
  async send(decision, goesOn) {
    await this.guarded(async () => {
      const at = goesOn ? this.at + 1 : this.at;
      const wanted = { then: this.places[at], next: this.ahead(at) };
      const answer = await store("/api/decide", { ...decision, ...wanted }, (waits) => this.waiting(waits));
      this.showProgress(answer.progress);
      this.say(`Stored: ${KINDS[decision.kind]}${decision.class ? ` (${decision.class})` : ""}.`);
      if (goesOn) this.leave(decision.kind === "skip" ? "skipped" : "decided");
      if (answer.item && answer.item.place === this.places[this.at]) await this.present(answer.item);
      else await this.open();
    });
  }

  // Go to the next item. An item that no longer fits the filter leaves the list. If the next item did not come before, this
  // item has left the list already.
  leave(status) {
    if (this.places[this.at] !== this.item.place) return;
    if (this.status !== "all" && this.status !== status) this.places.splice(this.at, 1);
    else this.at += 1;
    this.at = Math.max(Math.min(this.at, this.places.length - 1), 0);
  }

  async turn(name) {
    await this.guarded(async () => {
      const answer = await store(`/api/${name}`, {}, (waits) => this.waiting(waits));
      this.showProgress(answer.progress);
      this.say(name === "undo" ? "Undone." : "Done again.");
      if (answer.place !== null) {
        const known = this.places.indexOf(answer.place);
        if (known >= 0) this.at = known; else this.places.splice(this.at, 0, answer.place);
      }
      await this.open();
    });
  }

  comment() {
    const text = this.by("comment").value;
    this.stage.overlay.focus();
    if (this.item) this.send({ kind: "comment", subject: this.item.subject, comment: text }, false);
  }

  async step(by) {
    await this.guarded(async () => {
      const before = this.at;
      this.at = Math.min(Math.max(before + by, 0), this.places.length - 1);
      try {
        await this.open();
      } catch (error) {
        this.at = before; // the item is still shown
        throw error;
      }
    });
  }

  cancel() { if (this.item) this.views.reset(); }

  swap() { if (this.views.swap()) this.say(`Now you can correct the labels of ${this.views.image}.`); }

  hide() {
    document.querySelector('button[data-do="hide"]').setAttribute("aria-pressed", String(this.views.hide()));
  }

  contrast(value) { this.views.contrast(value); }

  nextContrast() {
    const select = this.by("contrast");
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    this.contrast(select.value);
  }

  // --- keys, words, trouble
  key(event) {
    if (event.target.closest("input, select, textarea, summary")) return;
    const name = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
    if (isHeld(event, name) || (event.target.closest("button") && ["Enter", " "].includes(event.key))) return;
    const turned = (event.ctrlKey || event.metaKey) && event.key.toLowerCase();
    if (turned === "z" || turned === "y") {
      event.preventDefault();
      this.act(turned === "y" || event.shiftKey ? "redo" : "undo");
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    if (event.key in ARROWS) {
      const [x, y] = ARROWS[event.key].map((value) => value * (event.shiftKey ? 10 : 1));
      if (this.stage.move(x, y, event.altKey)) event.preventDefault();
      return;
    }
    if (event.altKey) return;
    const chosen = this.chooser.ofKey(event.key);
    if (chosen) { event.preventDefault(); this.choose(chosen); return; }
    if (name) { event.preventDefault(); this.act(name); }
  }

  guarded(work) { return guarded(this, work, () => this.enable()); }

  waiting(waits) {
    this.complain(waits ? "No connection: the last decision is NOT stored yet. It is sent again until it is. What was decided before is stored." : "");
  }

  say(text) { this.by("said").textContent = text; }
}
