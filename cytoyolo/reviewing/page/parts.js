// What both views use.

export const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

// The codes of the classes that fit a typed text, the best first.
export function fitting(classes, text) {
  const plain = text.trim().toLowerCase();
  const rank = ({ code, name }) => {
    const texts = [code.toLowerCase(), name.toLowerCase()];
    if (texts.includes(plain)) return 0;
    if (texts.some((one) => one.startsWith(plain))) return 1;
    return texts[1].includes(plain) ? 2 : 3;
  };
  const ranked = classes.map((one) => [rank(one), one]).filter(([value]) => value < 3);
  return ranked.sort((a, b) => a[0] - b[0]).map(([, one]) => one.code);
}

// A key that is held down repeats. It moves, zooms and pages; but one press is one decision, so that none is about an unseen
// item. A button that has the focus is not pressed again either.
const REPEATED = ["zoom-in", "zoom-out", "next", "previous", "before", "after"];
export function isHeld(event, name) {
  if (!event.repeat || REPEATED.includes(name) || event.key.startsWith("Arrow")) return false;
  if (event.target.closest("button") && ["Enter", " "].includes(event.key)) event.preventDefault();
  return true;
}

// Go from cell to cell with arrow keys: left and right in order, up and down to the nearest cell of the next line.
export function walk(event, cells) {
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
