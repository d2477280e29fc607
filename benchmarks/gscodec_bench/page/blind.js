// A blind comparison. The page does not know which picture of a pair is whose; the order of the trials and the side of
// each picture are drawn anew for every viewer, from a number that the answers name (#viewer=N repeats one).
"use strict";
const { page, trials } = JSON.parse(document.getElementById("data").textContent);
const element = (name) => document.getElementById(name);
const given = /[#&]viewer=(\d+)/.exec(location.hash);
const viewer = given ? Number(given[1]) >>> 0 : crypto.getRandomValues(new Uint32Array(1))[0];

// Weyl sequence with the 32-bit finaliser of MurmurHash3: the next number in [0, 1).
let counter = viewer;
function draw() {
  counter = (counter + 0x9e3779b9) >>> 0;
  let x = counter;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

const order = trials.map((_, number) => number);
for (let last = order.length - 1; last > 0; last--) {
  const other = Math.floor(draw() * (last + 1));
  [order[last], order[other]] = [order[other], order[last]];
}
const swapped = trials.map(() => draw() < 0.5);
const answers = new Map(); // by trial: choice, side, seconds
const state = { at: 0, view: "beside", zoom: 1, side: 0, wipe: 0.5, source: false, since: 0, saved: true, ready: Promise.resolve() };

function picture(source, name) {
  const image = new Image();
  image.src = source;
  image.alt = name;
  image.draggable = false;
  return image;
}

let shown = []; // the images of the trial: source, A, B
function open(at) {
  state.at = at;
  state.source = false;
  state.side = 0;
  state.wipe = 0.5;
  shown = [];
  element("stage").replaceChildren();
  if (at < order.length) {
    const trial = trials[order[at]];
    const pair = swapped[order[at]] ? [trial.pair[1], trial.pair[0]] : trial.pair;
    const images = [picture(trial.source, "source"), picture(pair[0], "A"), picture(pair[1], "B")];
    state.ready = Promise.all(images.map((image) => image.decode())).then(() => {
      if (state.at !== at) return;
      shown = images; // all at once, so that the time to load says nothing
      state.since = performance.now();
      arrange();
    });
  }
  paint();
}

// Puts the images on the stage for the view; `paint` then says which are seen.
function arrange() {
  const stage = element("stage");
  stage.className = state.view;
  stage.replaceChildren();
  if (!shown.length) return paint();
  const groups = state.view === "beside" ? shown.map((image) => [image]) : [shown];
  for (const images of groups) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const layers = document.createElement("div");
    layers.className = "layers";
    layers.append(...images);
    if (state.view === "wipe") {
      const line = document.createElement("div");
      line.className = "line";
      layers.append(line);
    }
    figure.append(caption, layers);
    stage.append(figure);
  }
  const figures = [...stage.children];
  for (const figure of figures) { // panes scroll together
    figure.addEventListener("scroll", () => {
      for (const other of figures) Object.assign(other, { scrollLeft: figure.scrollLeft, scrollTop: figure.scrollTop });
    });
  }
  paint();
}

function paint() {
  const done = state.at >= order.length;
  element("place").textContent = done ? "" : `${state.at + 1} of ${order.length}`;
  element("end").hidden = !done;
  element("stage").hidden = done;
  if (done) element("text").value = csv();
  const scale = state.zoom / devicePixelRatio; // of the screen's pixels, whatever a CSS px is here
  const beside = state.view === "beside", wiped = state.view === "wipe" && !state.source;
  shown.forEach((image, number) => {
    image.style.width = `${image.naturalWidth * scale}px`;
    const seen = beside || number === (state.source ? 0 : state.side + 1) || (wiped && number > 0);
    image.style.visibility = seen ? "visible" : "hidden";
    image.style.clipPath = wiped && number === 2 ? `inset(0 0 0 ${100 * state.wipe}%)` : "none";
  });
  const names = beside ? ["source", "A", "B"] : [state.source ? "source" : wiped ? "A | B" : "AB"[state.side]];
  [...element("stage").children].forEach((figure, number) => {
    figure.querySelector("figcaption").textContent = names[number];
  });
  const line = document.querySelector(".line");
  if (line) Object.assign(line.style, { left: `${100 * state.wipe}%`, visibility: wiped ? "visible" : "hidden" });
  for (const [name, button] of Object.entries(buttons)) {
    const chosen = answers.get(order[state.at]);
    button.classList.toggle("on", name === state.view || name === `zoom${state.zoom}` || chosen?.button === name);
    if (["A", "B", "none"].includes(name)) button.disabled = done || !shown.length;
  }
  buttons.source.disabled = beside;
  buttons.back.disabled = state.at === 0;
  buttons.save.disabled = answers.size === 0;
}

function answer(button) {
  if (!shown.length) return;
  const trial = order[state.at];
  const side = button === "none" ? "" : button;
  const choice = side ? String(Number((side === "B") !== swapped[trial])) : "none";
  const seconds = ((performance.now() - state.since) / 1000).toFixed(1);
  answers.set(trial, { button, choice, side, seconds });
  state.saved = false;
  open(state.at + 1);
}

function csv() {
  const rows = [...answers].map(([number, one]) => [page, viewer, trials[number].trial, one.choice, one.side, one.seconds]);
  return ["page,viewer,trial,choice,side,seconds", ...rows.map((row) => row.join(","))].join("\n") + "\n";
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = `answers-${page}-${viewer}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  state.saved = true;
}

const show = (view) => { state.view = view; state.source = false; arrange(); };
const change = (facts) => { Object.assign(state, facts); paint(); };
const actions = {
  beside: ["1  Beside", "views", () => show("beside")],
  flick: ["2  Flick", "views", () => show("flick")],
  wipe: ["3  Wipe", "views", () => show("wipe")],
  zoom1: ["4  1:1", "views", () => change({ zoom: 1 })],
  zoom2: ["5  2:1", "views", () => change({ zoom: 2 })],
  source: ["S  Source (hold)", "views", () => {}],
  A: ["A", "answers", () => answer("A")],
  none: ["N  Cannot tell", "answers", () => answer("none")],
  B: ["B", "answers", () => answer("B")],
  back: ["Backspace  Back", "answers", () => { if (state.at) open(state.at - 1); }],
  save: ["Save answers", "answers", save],
};
const buttons = {};
for (const [name, [label, bar, action]] of Object.entries(actions)) {
  const button = document.createElement("button");
  button.textContent = label;
  button.addEventListener("click", () => { action(); button.blur(); });
  element(bar).append(button);
  buttons[name] = button;
}
buttons.source.addEventListener("pointerdown", () => change({ source: state.view !== "beside" }));
for (const kind of ["pointerup", "pointercancel", "blur"]) addEventListener(kind, () => { if (state.source) change({ source: false }); });

const keys = { 1: "beside", 2: "flick", 3: "wipe", 4: "zoom1", 5: "zoom2", a: "A", b: "B", n: "none", backspace: "back" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target === element("text")) return;
  const key = event.key.toLowerCase();
  const step = { arrowleft: -0.02, arrowright: 0.02 }[key];
  if (keys[key]) { if (!event.repeat) actions[keys[key]][2](); } // a key that is held answers once
  else if (key === "s") { if (state.view !== "beside" && !state.source) change({ source: true }); }
  else if (key === " ") { if (!event.repeat) flip(); }
  else if (step && state.view === "wipe") change({ wipe: Math.min(1, Math.max(0, state.wipe + step)) });
  else return;
  event.preventDefault();
});
document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "s" && state.source) change({ source: false }); });

function flip() {
  if (state.view === "flick") change({ side: 1 - state.side });
  else show("flick");
}
const stage = element("stage");
stage.addEventListener("click", () => { if (state.view === "flick") flip(); });
function drag(event) {
  if (state.view !== "wipe" || !shown.length || (event.pointerType !== "mouse" && !event.buttons && event.type !== "pointerdown")) return;
  const box = shown[0].getBoundingClientRect();
  change({ wipe: Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) });
}
stage.addEventListener("pointerdown", drag);
stage.addEventListener("pointermove", drag);
addEventListener("resize", paint);
addEventListener("beforeunload", (event) => { if (!state.saved) event.preventDefault(); });
window.blind = { state, csv, get shown() { return shown; } };
open(0);
