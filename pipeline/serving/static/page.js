// Sends what a visitor does, shows what the server answers. One request at a time: a quick second corner waits its turn.
"use strict";
const at = (id) => document.getElementById(id);
const main = document.querySelector("main"), photo = at("photo"), drop = photo.querySelector(".drop");
const file = photo.querySelector("input"), canvas = document.querySelector("#canvas canvas"), pen = canvas.getContext("2d");
const picture = new Image();
picture.alt = "Photo to mark a food on";
picture.draggable = false;
let shown = null;  // what the server said last; null without a photo
let title = "photo";  // what the photo is called in downloads
let waiting = Promise.resolve(), pending = 0;

history.replaceState(null, "", "/");  // a token in the address is in the cookie by now

const way = () => document.querySelector("input[name=way]:checked");

function say(text) {
  at("hint").textContent = text;
  at("paint-hint").textContent = text;
}

function ask(method, path, body) {
  const json = !(body instanceof Blob);
  const type = json ? "application/json" : "application/octet-stream";
  pending += 1;
  main.setAttribute("aria-busy", "true");
  say(main.dataset.working);
  waiting = waiting.then(async () => {
    try {
      const answer = await fetch(typeof path === "string" ? path : path(), {
        method, headers: { "Content-Type": type }, body: json ? JSON.stringify(body) : body,
      });
      if (!answer.ok) throw new Error((await answer.text()).trim());
      return await answer.json();
    } catch (error) {
      say("Not possible: " + (error instanceof TypeError ? "the page's server does not answer" : error.message));
      return null;
    } finally {
      pending -= 1;
      if (!pending) main.removeAttribute("aria-busy");
    }
  });
  return waiting;
}

function button(text, label, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", action);
  return made;
}

const unbroken = (text) => text.replaceAll(" %", "\u00a0%");

function row(food, number, chosen) {
  const line = document.createElement("tr");
  const swatch = button(number + 1, `Food ${number + 1}: show it`, () => act("foods", { step: "choose", number }));
  swatch.className = "swatch";
  swatch.style.borderColor = food.colour;
  swatch.setAttribute("aria-pressed", String(chosen));
  line.classList.toggle("chosen", chosen);
  const remove = button("✕", `Remove food ${number + 1}`, () => act("foods", { step: "remove", number }));
  for (const cell of [swatch, ...food.answers.map(unbroken), remove]) line.insertCell().append(cell);
  return line;
}

function show(state, name) {
  if (!state) return;
  const fresh = !shown || shown.photo !== state.photo;
  const fresh_answer = JSON.stringify(state.answers) !== JSON.stringify(shown && shown.answers);
  if (fresh && shown) fetch("/photos/" + shown.photo, { method: "DELETE" });
  if (fresh) title = name;
  if (!shown || shown.foods.length < state.foods.length) pen.clearRect(0, 0, canvas.width, canvas.height);
  shown = state;
  if (!picture.isConnected) photo.append(picture);
  drop.hidden = true;
  at("tools").hidden = false;
  picture.src = state.pictures.shown;
  canvas.parentElement.style.backgroundImage = `url("${state.pictures.shown}")`;
  if (fresh) {
    canvas.width = state.width;
    canvas.height = state.height;
  }
  const answered = state.foods.length > 0;
  say(state.hint || (answered ? "Another food? " : "") + way().dataset.hint);
  at("results").hidden = !answered;
  at("guide").hidden = answered;
  at("heat").hidden = !state.warmth;
  at("foods").replaceChildren(...state.foods.map((food, number) => row(food, number, number === state.chosen)));
  at("which").textContent = `Food ${state.chosen + 1}`;
  for (const link of document.querySelectorAll("[data-file]"))
    link.href = `/photos/${state.photo}/${link.dataset.file}?photo=${encodeURIComponent(title)}`;
  for (const id of ["how", "difference", "warmth"]) at(id).textContent = unbroken(state[id]);
  for (const [name, source] of Object.entries(state.pictures)) if (name !== "shown") at(name).src = source;
  state.answers.forEach((guesses, number) => {
    const answer = at("answer-" + number), verdict = answer.querySelector(".verdict");
    verdict.textContent = state.verdicts[number];
    verdict.hidden = !state.verdicts[number];
    answer.querySelector("ol").replaceChildren(...guesses.map((guess) => {
      const line = document.createElement("li"), share = document.createElement("span");
      const bar = document.createElement("progress");
      line.append(guess.category);
      if (guess.probability === null) return line;  // too unsure for a number
      share.textContent = Math.round(100 * guess.probability) + " %";
      bar.value = guess.probability;
      bar.setAttribute("aria-hidden", "true");
      line.append(share, bar);
      return line;
    }));
  });
  if (answered && fresh_answer) at("results").scrollIntoView({ block: "nearest" });
}

function forget() {
  if (shown) fetch("/photos/" + shown.photo, { method: "DELETE" });
  shown = null;
  picture.remove();
  picture.removeAttribute("src");
  drop.hidden = false;
  canvas.width = canvas.height = 0;
  canvas.parentElement.style.backgroundImage = "";
  at("tools").hidden = true;
  at("results").hidden = true;
  at("guide").hidden = false;
  file.value = "";
}

async function bring(upload) {
  if (!upload) return;
  show(await ask("POST", "/photos", upload.slice(0, upload.size)), upload.name);  // where it is refused, the photo before stays
  file.value = "";
}

async function act(kind, body) {
  if (!shown && !pending) return say("Choose a photo first.");
  // The address is made when it is this request's turn: the photo may have changed until then.
  show(await ask("POST", () => `/photos/${shown ? shown.photo : "none"}/${kind}`, body));
}

for (const step of ["undo", "clear"]) at(step).addEventListener("click", () => act("foods", { step }));
if (at("find")) at("find").addEventListener("click", () => { if (!pending) act("foods", { step: "find" }); });
at("label-map").addEventListener("change", async (event) => {
  const [map] = event.target.files;
  if (map) await act("label-map", map.slice(0, map.size));
  event.target.value = "";
});
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && shown && event.target.tagName !== "INPUT") act("foods", { step: "undo" });
});

file.addEventListener("change", () => bring(file.files[0]));
at("choose").addEventListener("click", () => file.click());
at("forget").addEventListener("click", () => { forget(); say(main.dataset.welcome); });
let own = false;  // whether a picture of this page is dragged, which a browser would drop as a new photo
addEventListener("dragstart", () => { own = true; });
addEventListener("dragend", () => { own = false; });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => { event.preventDefault(); if (!own) bring(event.dataTransfer.files[0]); });
addEventListener("paste", (event) => bring(event.clipboardData.files[0]));
for (const sample of document.querySelectorAll("#samples button"))
  sample.addEventListener("click", async () => show(await ask("POST", "/samples", { number: +sample.dataset.number }), sample.innerText));
// A box is dragged, and may reach over the border, where it is cut; less than a few pixels are a click.
const share = (event) => {
  const box = picture.getBoundingClientRect(), inside = (part) => Math.min(1, Math.max(0, part));
  return { x: inside((event.clientX - box.left) / box.width), y: inside((event.clientY - box.top) / box.height) };
};
const drag = at("drag");
let begun = null;  // first corner of a box, and where the pointer was
let dragged = false;
picture.addEventListener("pointerdown", (event) => {
  dragged = false;
  if (!event.isPrimary || event.button || ![...document.getElementsByName("way")].some((each) => each.value === "box")) return;
  begun = { ...share(event), left: event.clientX, top: event.clientY };
  picture.setPointerCapture(event.pointerId);
});
function edges(event) {
  const end = share(event), order = (one, other) => [Math.min(one, other), Math.max(one, other)];
  const [left, right] = order(begun.x, end.x), [top, bottom] = order(begun.y, end.y);
  return { left, top, right, bottom };
}
picture.addEventListener("pointermove", (event) => {
  const least = event.pointerType === "mouse" ? 6 : 12;
  if (!begun || (drag.hidden && Math.hypot(event.clientX - begun.left, event.clientY - begun.top) < least)) return;
  const { left, top, right, bottom } = edges(event), [width, height] = [picture.clientWidth, picture.clientHeight];
  drag.hidden = false;
  drag.style.left = picture.offsetLeft + left * width + "px";
  drag.style.top = picture.offsetTop + top * height + "px";
  drag.style.width = (right - left) * width + "px";
  drag.style.height = (bottom - top) * height + "px";
});
picture.addEventListener("pointerup", (event) => {
  dragged = !drag.hidden;
  if (dragged) {
    const { left, top, right, bottom } = edges(event);
    act("box", { left: 100 * left, top: 100 * top, right: 100 * right, bottom: 100 * bottom });
  }
  begun = null;
  drag.hidden = true;
});
picture.addEventListener("pointercancel", () => { begun = null; drag.hidden = true; });
picture.addEventListener("click", (event) => { if (!dragged) act("click", { way: way().value, ...share(event) }); });
for (const radio of document.querySelectorAll("input[name=way]"))
  radio.addEventListener("change", () => { if (shown) say(radio.dataset.hint); });
at("numbers").addEventListener("click", () => {
  at("edges").hidden = !at("edges").hidden;
  at("numbers").setAttribute("aria-expanded", String(!at("edges").hidden));
});
at("edges").noValidate = true;  // the server says what is wrong, in the page's own words
at("edges").addEventListener("submit", (event) => {
  event.preventDefault();
  const edge = (name) => at("edges").elements[name].value === "" ? null : at("edges").elements[name].valueAsNumber;
  act("box", { left: edge("left"), top: edge("top"), right: edge("right"), bottom: edge("bottom") });
});
at("explain").addEventListener("click", () => { if (!pending) act("heat", {}); });

at("find-food").addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  for (const food of document.querySelectorAll("#known li")) food.hidden = !food.textContent.toLowerCase().includes(wanted);
});

const tabs = [...document.querySelectorAll("[role=tab]")];
for (const tab of tabs) tab.addEventListener("click", () => {
  for (const each of tabs) {
    each.setAttribute("aria-selected", String(each === tab));
    at(each.getAttribute("aria-controls")).hidden = each !== tab;
  }
});

// Strokes are opaque in memory and half transparent on the screen, so that what is painted is painted whole.
let last = null;
const spot = (event) => {
  const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
  return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale, scale };
};
function stroke(event) {
  const next = spot(event);
  pen.globalCompositeOperation = at("erase").checked ? "destination-out" : "source-over";
  pen.strokeStyle = "rgb(255, 0, 200)";
  pen.lineWidth = at("brush").value * next.scale;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(last.x, last.y);
  pen.lineTo(next.x, next.y);
  pen.stroke();
  last = next;
}
canvas.addEventListener("pointerdown", (event) => {
  if (!canvas.width) return;
  canvas.setPointerCapture(event.pointerId);
  last = spot(event);
  stroke(event);
});
canvas.addEventListener("pointermove", (event) => { if (last) stroke(event); });
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });
at("wipe").addEventListener("click", () => pen.clearRect(0, 0, canvas.width, canvas.height));
at("take-painting").addEventListener("click", () => {
  if (pending) return;
  const made = document.createElement("canvas"), brush = made.getContext("2d");
  made.width = canvas.width || 1;
  made.height = canvas.height || 1;
  if (canvas.width) brush.drawImage(canvas, 0, 0);
  brush.globalCompositeOperation = "source-in";
  brush.fillStyle = "white";
  brush.fillRect(0, 0, made.width, made.height);
  brush.globalCompositeOperation = "destination-over";
  brush.fillStyle = "black";
  brush.fillRect(0, 0, made.width, made.height);
  made.toBlob((blob) => act("painting", blob), "image/png");
});
