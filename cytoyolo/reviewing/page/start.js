// Begins the page: what the address held is taken out of it, and the view of the kind of review is shown.
import { get, Ended } from "./api.js";
import { CellsView } from "./cells.js";
import { LabelsView } from "./labels.js";

history.replaceState(null, "", "/");
const trouble = document.getElementById("trouble");

export function complain(text) {
  trouble.textContent = text;
  trouble.hidden = !text;
}

try {
  const overview = await get("/api/overview");
  document.title = `Review of ${overview.title}`;
  document.getElementById("title").textContent = overview.title;
  document.getElementById("reviewer").textContent = overview.reviewer;
  const view = new (overview.kind === "cells" ? CellsView : LabelsView)(document.getElementById("main"), overview, complain);
  await view.begin();
} catch (error) {
  complain(error instanceof Ended ? "This session has ended. Open the address that the terminal shows." : error.message);
}
