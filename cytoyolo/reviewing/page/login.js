// The form for reviewers at other machines.
const form = document.getElementById("login");
const fault = document.getElementById("fault");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = { name: document.getElementById("name").value, password: document.getElementById("password").value };
  try {
    const answer = await fetch("/login", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(given),
    });
    if (answer.ok) { location.replace("/"); return; }
    fault.textContent = (await answer.json()).error;
  } catch {
    fault.textContent = "There is no connection. Try again.";
  }
  fault.hidden = false;
});
