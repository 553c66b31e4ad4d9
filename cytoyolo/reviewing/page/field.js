// The image of a cell in the gallery, with all its cells: a box can be moved, and a missed cell drawn.
import { Pictures, get } from "./api.js";
import { Stage } from "./stage.js";

export class Field {
  constructor({ onChange }) {
    this.by = (id) => document.getElementById(id);
    this.pictures = new Pictures(4);
    this.place = null;
    this.stage = new Stage(this.by("stage"), { onChange, onSelect: ({ subject, box }) => this.stage.select(subject, box) });
    this.by("contrast").addEventListener("change", (event) => { this.by("views").dataset.contrast = event.target.value; });
  }

  get open() { return this.place !== null; }
  get selected() { return this.open ? this.stage.selected : null; }
  get isNew() { return this.open && this.stage.selected === null && this.stage.box !== null && this.stage.dirty; }
  get isMoved() { return this.selected !== null && this.stage.dirty; }

  // Show an image with its cells. `row` is the cell whose box can be moved, or null.
  async show(place, cells, row) {
    const item = await get(`/api/item/${place}`);
    const bitmap = item.size && await this.pictures.get(item.image, `/image/${place}`);
    Object.assign(this, { place, item, bitmap });
    this.by("gallery").hidden = true;
    this.by("field").hidden = false;
    this.by("field-name").textContent = item.image;
    this.by("empty").hidden = Boolean(bitmap);
    this.by("empty").textContent = item.problem ? `The image ${item.problem}.` : "The image can't be shown.";
    this.draw(cells, row);
    this.stage.overlay.focus();
  }

  // Draw the cells as they are now; what is seen of the image stays.
  draw(cells, row, keepView = false) {
    const { stage, item } = this;
    const { view, touched } = stage;
    const here = cells.filter(({ place, state, box }) => place === this.place && state !== "gone" && box)
      .map((cell) => ({ ...cell, subject: cell.row }));
    const own = here.find((cell) => cell.row === row) ?? null;
    stage.show({
      bitmap: this.bitmap, size: item.size, boxes: here, selected: own && own.row, box: own && own.box, suggestion: null,
    });
    if (keepView) { Object.assign(stage, { view, touched }); stage.draw(); }
  }

  close() {
    if (!this.open) return;
    this.place = null;
    this.by("field").hidden = true;
    this.by("gallery").hidden = false;
  }

  // Take back what was changed. Returns whether there was anything to take back.
  reset() {
    const changed = this.stage.dirty || this.stage.drawing;
    if (this.isNew) this.stage.select(null, null);
    this.stage.reset();
    return changed;
  }

  hide() {
    this.stage.hidden = !this.stage.hidden;
    this.stage.draw();
    return this.stage.hidden;
  }
}
