// The image and its boxes: zoom, pan, draw, move and resize, by mouse and by keys. Boxes are [x1, y1, x2, y2] in pixels of
// the image.

const HANDLE = 9; // how near a corner or a side the mouse must be, in pixels of the screen
const LEAST = 1;
const MOST_ZOOM = 40;

export class Stage {
  constructor(root, { onChange, onSelect }) {
    this.root = root;
    this.picture = root.querySelector(".picture");
    this.overlay = root.querySelector(".boxes");
    this.onChange = onChange;
    this.onSelect = onSelect;
    this.view = { scale: 1, x: 0, y: 0 };
    this.drawing = false;
    this.hidden = false;
    this.clear();
    new ResizeObserver(() => this.resize()).observe(root);
    this.overlay.addEventListener("pointerdown", (event) => this.press(event));
    this.overlay.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) this.overlay.addEventListener(name, () => this.release());
    this.overlay.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.resize();
  }

  clear() {
    Object.assign(this, { bitmap: null, size: null, boxes: [], selected: null, box: null, dirty: false, grip: null });
    this.suggestion = null;
  }

  // Show an image (or none) with boxes: {subject, class, box, state, named}. `box` is the box that can be changed. A box that
  // the finding names stands out; `named` is what its tag says of it.
  show({ bitmap, size, boxes, selected, box, suggestion }) {
    this.clear();
    Object.assign(this, { bitmap, size, boxes, selected, box: box && [...box], suggestion });
    this.original = box && [...box];
    this.setDrawing(false);
    this.toCell();
    this.onChange();
  }

  select(subject, box) {
    Object.assign(this, { selected: subject, box: box && [...box], original: box && [...box], dirty: false });
    this.draw();
    this.onChange();
  }

  reset() {
    this.box = this.original && [...this.original];
    this.dirty = false;
    this.setDrawing(false);
    this.draw();
    this.onChange();
  }

  setDrawing(on) { this.drawing = on; this.overlay.classList.toggle("drawing", on); }

  // A new box in the middle of what is seen, for people who draw with keys.
  begin() {
    this.setDrawing(true);
    if (!this.size) return;
    const [x, y] = this.toImage(this.width / 2, this.height / 2);
    const old = this.original ?? [0, 0, this.size[0] / 5, this.size[1] / 5];
    const [w, h] = [(old[2] - old[0]) / 2 || 10, (old[3] - old[1]) / 2 || 10];
    Object.assign(this, { selected: null, original: null, dirty: true });
    this.box = this.inside([x - w, y - h, x + w, y + h].map(Math.round));
    this.draw();
    this.onChange();
  }

  move(dx, dy, corner) {
    if (!this.box) return false;
    const [x1, y1, x2, y2] = this.box;
    if (corner) {
      this.change([x1, y1, Math.max(x2 + dx, x1 + LEAST), Math.max(y2 + dy, y1 + LEAST)]);
    } else {
      const [width, height] = this.size;
      const [sx, sy] = [Math.min(Math.max(dx, -x1), width - x2), Math.min(Math.max(dy, -y1), height - y2)];
      this.change([x1 + sx, y1 + sy, x2 + sx, y2 + sy]);
    }
    return true;
  }

  change(box) {
    this.box = this.inside(box);
    this.dirty = true;
    this.draw();
    this.onChange();
  }

  inside([x1, y1, x2, y2]) {
    const [width, height] = this.size;
    const limit = (value, most) => Math.min(Math.max(value, 0), most);
    return [limit(x1, width), limit(y1, height), limit(x2, width), limit(y2, height)];
  }

  // --- view
  get width() { return this.root.clientWidth; }
  get height() { return this.root.clientHeight; }
  toImage(x, y) { return [(x - this.view.x) / this.view.scale, (y - this.view.y) / this.view.scale]; }

  resize() {
    const dense = window.devicePixelRatio || 1;
    for (const canvas of [this.picture, this.overlay]) {
      canvas.width = Math.round(this.width * dense);
      canvas.height = Math.round(this.height * dense);
    }
    this.dense = dense;
    if (this.size && !this.touched) this.toCell(); else this.draw();
  }

  around([x1, y1, x2, y2], margin) {
    const [w, h] = [Math.max(x2 - x1, 1) * margin, Math.max(y2 - y1, 1) * margin];
    const scale = Math.min(this.width / w, this.height / h, MOST_ZOOM);
    this.view = { scale, x: this.width / 2 - ((x1 + x2) / 2) * scale, y: this.height / 2 - ((y1 + y2) / 2) * scale };
    this.touched = false;
    this.draw();
  }

  fit() { if (this.size) this.around([0, 0, ...this.size], 1); }

  // The cell with its surroundings; a small image whole.
  toCell() {
    if (!this.size) { this.draw(); return; }
    const focus = this.box ?? this.suggestion;
    if (!focus || Math.max(...this.size) <= 480) { this.fit(); return; }
    this.around(focus, 3);
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = Math.min(Math.max(this.view.scale * factor, 0.02), MOST_ZOOM);
    const ratio = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * ratio, y: y - (y - this.view.y) * ratio };
    this.touched = true;
    this.draw();
  }

  wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * 0.0015), event.offsetX, event.offsetY);
  }

  // --- mouse
  press(event) {
    if (!this.size || event.button !== 0) return;
    this.overlay.setPointerCapture(event.pointerId);
    const [x, y] = this.toImage(event.offsetX, event.offsetY);
    const part = this.drawing ? null : this.partAt(event.offsetX, event.offsetY);
    this.grip = { x, y, px: event.offsetX, py: event.offsetY, view: { ...this.view }, start: this.box && [...this.box] };
    if (this.drawing) this.grip.kind = "draw";
    else if (part) Object.assign(this.grip, { kind: "box", part });
    else {
      const other = this.otherAt(x, y);
      if (other) { this.grip = null; this.onSelect(other); } else this.grip.kind = "pan";
    }
  }

  drag(event) {
    if (!this.grip) { this.hover(event); return; }
    const [x, y] = this.toImage(event.offsetX, event.offsetY);
    const { kind, part, start } = this.grip;
    if (kind === "pan") {
      this.view.x = this.grip.view.x + event.offsetX - this.grip.px;
      this.view.y = this.grip.view.y + event.offsetY - this.grip.py;
      this.touched = true;
      this.draw();
    } else if (kind === "draw") {
      const [ax, ay] = [this.grip.x, this.grip.y];
      if (Math.abs(x - ax) < LEAST || Math.abs(y - ay) < LEAST) return;
      Object.assign(this, { selected: null, original: null });
      this.change([Math.min(ax, x), Math.min(ay, y), Math.max(ax, x), Math.max(ay, y)].map(Math.round));
    } else {
      const [dx, dy] = [Math.round(x - this.grip.x), Math.round(y - this.grip.y)];
      if (part === "all") {
        this.box = [...start];
        this.move(dx, dy, false);
      } else {
        const box = [...start];
        if (part.includes("w")) box[0] = Math.min(start[0] + dx, start[2] - LEAST);
        if (part.includes("n")) box[1] = Math.min(start[1] + dy, start[3] - LEAST);
        if (part.includes("e")) box[2] = Math.max(start[2] + dx, start[0] + LEAST);
        if (part.includes("s")) box[3] = Math.max(start[3] + dy, start[1] + LEAST);
        this.change(box);
      }
    }
  }

  release() {
    if (this.grip?.kind === "draw" && this.dirty) this.setDrawing(false);
    this.grip = null;
    this.onChange();
  }

  hover(event) {
    const part = this.drawing ? null : this.partAt(event.offsetX, event.offsetY);
    const cursors = { all: "move", nw: "nwse-resize", se: "nwse-resize", ne: "nesw-resize", sw: "nesw-resize" };
    const cursor = part ? cursors[part] ?? (part === "n" || part === "s" ? "ns-resize" : "ew-resize") : "";
    this.overlay.style.cursor = cursor;
  }

  // Which part of the box is at a point of the screen: "all", a side or a corner, or null.
  partAt(px, py) {
    if (!this.box || this.hidden) return null;
    const [x1, y1, x2, y2] = this.box.map((value, at) => value * this.view.scale + (at % 2 ? this.view.y : this.view.x));
    const near = (a, b) => Math.abs(a - b) <= HANDLE;
    if (px < x1 - HANDLE || px > x2 + HANDLE || py < y1 - HANDLE || py > y2 + HANDLE) return null;
    const across = near(px, x1) ? "w" : near(px, x2) ? "e" : "";
    const down = near(py, y1) ? "n" : near(py, y2) ? "s" : "";
    return down + across || "all";
  }

  // The smallest other box at a point of the image.
  otherAt(x, y) {
    const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);
    const holds = ({ box, state }) => box && state !== "gone" && x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
    return this.boxes.filter(holds).sort((a, b) => area(a) - area(b))[0] ?? null;
  }

  // --- drawing
  draw() {
    const paper = this.picture.getContext("2d");
    paper.setTransform(1, 0, 0, 1, 0, 0);
    paper.clearRect(0, 0, this.picture.width, this.picture.height);
    const { scale, x, y } = this.view;
    if (this.bitmap) {
      paper.setTransform(scale * this.dense, 0, 0, scale * this.dense, x * this.dense, y * this.dense);
      paper.imageSmoothingEnabled = scale < 4;
      paper.drawImage(this.bitmap, 0, 0, ...this.size);
    }
    const ink = this.overlay.getContext("2d");
    ink.setTransform(this.dense, 0, 0, this.dense, 0, 0);
    ink.clearRect(0, 0, this.width, this.height);
    if (this.hidden) return;
    for (const other of this.boxes) {
      if (other.box && other.state !== "gone" && other.subject !== this.selected) {
        const colour = other.named ? "#9c2a86" : "#0072b2";
        this.frame(ink, other.box, colour, other.named ? 3 : 2, other.state === "ignore" ? [6, 4] : []);
        this.tag(ink, other.box, `${other.state === "ignore" ? "ignored" : other.class}${other.named ?? ""}`, colour);
      }
    }
    if (this.suggestion) this.frame(ink, this.suggestion, "#00a37a", 3, [8, 5]);
    if (this.box) {
      this.frame(ink, this.box, "#ff7f1f", 3, this.dirty ? [12, 3] : []);
      this.handles(ink, this.box);
    }
  }

  frame(ink, [x1, y1, x2, y2], colour, width, dash) {
    const { scale, x, y } = this.view;
    const rectangle = [x1 * scale + x, y1 * scale + y, (x2 - x1) * scale, (y2 - y1) * scale];
    ink.setLineDash([]);
    ink.lineWidth = width + 2;
    ink.strokeStyle = "rgba(255, 255, 255, .75)";
    ink.strokeRect(...rectangle);
    ink.setLineDash(dash);
    ink.lineWidth = width;
    ink.strokeStyle = colour;
    ink.strokeRect(...rectangle);
    ink.setLineDash([]);
  }

  tag(ink, [x1, y1], text, colour) {
    const { scale, x, y } = this.view;
    ink.font = "600 13px system-ui, sans-serif";
    const width = ink.measureText(text).width + 8;
    const top = Math.max(y1 * scale + y - 18, 0);
    ink.fillStyle = colour;
    ink.fillRect(x1 * scale + x, top, width, 17);
    ink.fillStyle = "#fff";
    ink.fillText(text, x1 * scale + x + 4, top + 13);
  }

  handles(ink, [x1, y1, x2, y2]) {
    const { scale, x, y } = this.view;
    ink.fillStyle = "#ff7f1f";
    for (const [cx, cy] of [[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) {
      ink.fillRect(cx * scale + x - 4, cy * scale + y - 4, 8, 8);
    }
  }
}
