// Requests to the server. A decision counts only when the server says that it is stored.

export class Refused extends Error {}
export class Offline extends Error {}
export class Ended extends Error {}
export class Unstored extends Ended {}

const RETRY_MS = 1500;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Offline("There is no connection to the server.");
  }
  let content = {};
  try {
    content = await answer.json();
  } catch {
    throw new Offline("The answer of the server was cut off.");
  }
  if (answer.status === 401) throw new Ended(content.error);
  if (!answer.ok) throw new Refused(content.error ?? `The server answered ${answer.status}.`);
  return content;
}

export const get = (path) => ask(path);

// Send something to store. Without a connection it is sent again until it is stored; `waiting` is told each time. The key
// makes the server store it once, even if only its answer was lost.
export async function store(path, content, waiting) {
  const body = JSON.stringify({ ...content, key: crypto.randomUUID?.() ?? String(Math.random()).slice(2) });
  for (;;) {
    try {
      const answer = await ask(path, { method: "POST", headers: { "content-type": "application/json" }, body });
      waiting(false);
      return answer;
    } catch (error) {
      if (error instanceof Ended) throw new Unstored(error.message);
      if (!(error instanceof Offline)) throw error;
      waiting(true);
      await pause(RETRY_MS);
    }
  }
}

// One thing at a time: what comes while something is stored is left out, so that no key decides about an unseen item.
// The page has `busy` and `complain`. `after` is called when the work has ended.
export async function guarded(page, work, after = () => {}) {
  if (page.busy) return;
  page.busy = true;
  document.body.dataset.busy = "yes";
  try {
    await work();
    page.complain("");
  } catch (error) {
    const which = error instanceof Unstored
      ? "The last decision is NOT stored. Open the new address, and decide it again. What was decided before is stored."
      : "What you decided is stored. Open the new address.";
    page.complain(error instanceof Ended
      ? `This session has ended, because the program was started again. ${which}`
      : error instanceof Refused ? `Not stored: ${error.message}` : error.message);
  } finally {
    page.busy = false;
    document.body.dataset.busy = "";
    after();
  }
}

// Pictures of images, as many as fit into `limit`; the one that was not used for longest goes first.
export class Pictures {
  constructor(limit) { this.limit = limit; this.known = new Map(); }

  get(name, address) {
    const found = this.known.get(name) ?? this.load(name, address);
    this.known.delete(name);
    this.known.set(name, found);
    while (this.known.size > this.limit) {
      const [oldest, picture] = this.known.entries().next().value;
      this.known.delete(oldest);
      picture.then((bitmap) => bitmap?.close?.());
    }
    return found;
  }

  async load(name, address) {
    try {
      const answer = await fetch(address);
      if (!answer.ok) { this.known.delete(name); return null; }
      return await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none" }); // as networks see it
    } catch {
      this.known.delete(name);
      return null;
    }
  }
}
