// Puts a stage above each row of crops: one large picture, flipped by buttons, digits, the space bar (source) and E (error).
for (const viewer of document.querySelectorAll(".viewer")) {
  const tiles = [...viewer.querySelectorAll("figure")];
  const stage = document.createElement("div");
  const large = document.createElement("img");
  const buttons = document.createElement("div");
  stage.className = "stage";
  buttons.className = "buttons";
  stage.append(large, buttons);
  viewer.insertBefore(stage, viewer.querySelector(".tiles"));
  const state = { at: Math.min(1, tiles.length - 1), source: false, error: false };
  const choices = tiles.map((tile, number) => {
    const button = document.createElement("button");
    button.textContent = `${number}  ${tile.querySelector("b").textContent}`;
    buttons.append(button);
    for (const target of [button, tile]) target.addEventListener("click", () => { state.at = number; draw(); });
    return button;
  });
  const toggle = document.createElement("button");
  toggle.textContent = "E  error map";
  toggle.addEventListener("click", () => { state.error = !state.error; draw(); });
  buttons.append(toggle);
  function draw() {
    const at = state.source ? 0 : state.at;
    const picture = tiles[at].querySelector("img");
    large.src = state.error && picture.dataset.error ? picture.dataset.error : picture.src;
    large.alt = picture.alt;
    tiles.forEach((tile, number) => tile.classList.toggle("shown", number === at));
    choices.forEach((button, number) => button.classList.toggle("shown", number === at));
    toggle.classList.toggle("shown", state.error);
  }
  let pointed = false;
  viewer.addEventListener("pointerenter", () => { pointed = true; });
  viewer.addEventListener("pointerleave", () => { pointed = false; });
  document.addEventListener("keydown", (event) => {
    if (!pointed) return;
    const number = "0123456789".indexOf(event.key);
    if (number >= 0 && number < tiles.length) state.at = number;
    else if (event.key === " ") state.source = true;
    else if (event.key.toLowerCase() === "e") state.error = !state.error;
    else return;
    event.preventDefault();
    draw();
  });
  document.addEventListener("keyup", (event) => { if (event.key === " ") { state.source = false; draw(); } });
  draw();
}
