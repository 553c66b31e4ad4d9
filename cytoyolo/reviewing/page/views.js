// The image of an item, and beside it the other image that its finding names, if there is one. Boxes can be changed in the
// first; the two can be swapped.
import { Pictures } from "./api.js";
import { Stage } from "./stage.js";

export class Views {
  constructor({ onChange, onSelect }) {
    this.by = (id) => document.getElementById(id);
    this.pictures = new Pictures(12);
    this.stage = new Stage(this.by("stage"), { onChange, onSelect });
    this.beside = new Stage(this.by("partner"), {
      onChange: () => {},
      onSelect: (other) => { this.swap(); onSelect(other); },
    });
  }

  // Load the images of an item. What is shown does not change until `show`.
  async load(item) {
    const at = item.partners.findIndex(({ image }) => image !== item.image);
    const other = item.partners[at];
    return {
      other, bitmap: item.size && await this.pictures.get(item.image, `/image/${item.place}`),
      otherBitmap: other?.size && await this.pictures.get(other.image, `/partner/${item.place}/${at}`),
    };
  }

  ahead(items) { for (const { image, place } of items) this.pictures.get(image, `/image/${place}`); }

  // `own` is the label that is to be decided, {subject, class, box, state}; null if the item is an image.
  show(item, own, { other, bitmap, otherBitmap }) {
    const named = new Map(item.partners.filter(({ line }) => line).map(({ subject, line }) => [subject, `, line ${line}`]));
    const marked = (labels) => labels.map((one) => ({ ...one, named: named.get(one.subject) }));
    this.shown = [{
      image: item.image, problem: item.problem, bitmap, size: item.size, boxes: marked(item.others), own,
      suggestion: item.suggestion?.box ?? null,
    }];
    if (other) this.shown.push({ ...other, bitmap: otherBitmap, boxes: marked(other.labels), own: null, suggestion: null });
    this.draw();
  }

  showNothing() {
    this.shown = [{ image: "", problem: "", bitmap: null, size: null, boxes: [], own: null, suggestion: null }];
    this.draw();
  }

  get image() { return this.shown[0].image; }

  draw() {
    const [view, other] = this.shown;
    this.by("partner").hidden = !other;
    this.by("views").classList.toggle("two", Boolean(other));
    this.fill(this.stage, { ...view, selected: view.own?.subject ?? null, box: view.own?.box ?? null }, "empty");
    this.by("stage-name").hidden = !other;
    document.querySelector('button[data-do="other"]').hidden = !other;
    if (!other) return;
    this.by("stage-name").textContent = view.image;
    this.fill(this.beside, { ...other, boxes: [...other.boxes, ...(other.own ? [other.own] : [])], selected: null, box: null }, "partner-empty");
    this.by("partner-name").textContent = other.image;
  }

  fill(stage, view, empty) {
    stage.show(view);
    this.by(empty).hidden = Boolean(view.size && view.bitmap);
    this.by(empty).textContent = view.problem ? `The image ${view.problem}.` : "The image can't be shown.";
  }

  // Returns whether there is another image.
  swap() {
    if (this.shown.length < 2) return false;
    this.shown.reverse();
    this.draw();
    return true;
  }

  // Take back what was changed: the box of the item, or no box.
  reset() {
    const { own } = this.shown[0];
    if (own && this.stage.selected === own.subject) { this.stage.reset(); return; }
    this.stage.setDrawing(false);
    this.stage.select(own?.subject ?? null, own?.box ?? null);
  }

  // Hide or show the boxes. Returns whether they are hidden.
  hide() {
    const hidden = !this.stage.hidden;
    for (const stage of [this.stage, this.beside]) {
      stage.hidden = hidden;
      stage.draw();
    }
    return hidden;
  }

  contrast(value) { this.by("views").dataset.contrast = value; }
}
