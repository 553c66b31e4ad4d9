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
