// Sends what the labeller does, one request at a time, and shows what the server has stored.
"use strict";
const at = (id) => document.getElementById(id);
const main = document.querySelector("main"), photo = at("photo"), picture = at("picture"), box = at("box"), input = at("category");
const clicks = main.dataset.clicks === "1", canvas = at("stroke"), pen = canvas.getContext("2d");
const MARK = "Drag a box around a food, or " + (clicks ? "click on it." : "click two opposite corners.");
let shown = null, chosen = null, mode = "box", corner = null;  // state of the server; number of the food at work
let cursor = [0.3, 0.3, 0.7, 0.7];  // box of the keyboard: left, top, right, bottom
let waiting = Promise.resolve(), pending = 0, options = [], active = 0;
let entered = "";  // "first" name or the one "typed", where Enter came before the outline

history.replaceState(null, "", location.pathname);  // a token in the address is in the cookie by now
const say = (text) => { at("hint").textContent = text; };

function act(action, then) {
  pending += 1;
  main.setAttribute("aria-busy", "true");
  waiting = waiting.then(async () => {
    try {
      const about = shown && action.do !== "open" ? { photo: shown.photo, revision: shown.revision } : {};
      const answer = await fetch("act", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...about, ...action }),
      });
      if (answer.status === 409 && action.do !== "open") act({ do: "open", photo: shown.photo }, () => say(text));
      const text = answer.ok ? "" : (await answer.text()).trim();
      if (text) throw new Error(text);
      show(await answer.json(), then);
    } catch (error) {
      pen.clearRect(0, 0, canvas.width, canvas.height);
      box.hidden = true;
      if (chosen === null) rest();
      say("Not possible: " + (error instanceof TypeError ? "the page's server does not answer; start it again, all is stored" : error.message));
    } finally {
      pending -= 1;
      if (!pending) main.removeAttribute("aria-busy");
    }
  });
}

function show(state, then) {
  const fresh = !shown || shown.photo !== state.photo;
  shown = state;
  corner = null;
  if (fresh) {
    picture.width = state.width;
    picture.height = state.height;
    photo.style.setProperty("--ratio", state.width / state.height);
    picture.src = `photos/${state.photo}/0/photo.webp`;
    picture.alt = "Photo " + state.name;
    setMode("box");
  }
  at("overlay").hidden = !state.foods.length;
  if (state.foods.length) at("overlay").src = `photos/${state.photo}/${state.revision}/overlay.png`;
  at("name").textContent = state.name;
  at("state").textContent = state.is_done ? "(done)" : "";
  at("progress").max = state.photos;
  at("progress").value = state.done;
  at("done").textContent = `${state.done} of ${state.photos} photos, ${state.photos - state.done} left`;
  at("foods").replaceChildren(...state.foods.map((food, number) => {
    const line = document.createElement("li"), name = document.createElement("button"), remove = document.createElement("button");
    name.textContent = `${number + 1}: ${food.category || "no name yet"}`;
    name.style.borderLeftColor = food.colour;
    name.addEventListener("click", () => choose(number));
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", "Remove food " + (number + 1));
    remove.addEventListener("click", () => act({ do: "remove", food: number }, rest));
    line.append(name, remove);
    return line;
  }));
  at("numbers").replaceChildren(...state.foods.map((food, number) => {
    const label = document.createElement("span");
    label.textContent = `${number + 1} ${food.category || "?"}`;
    label.style.left = 100 * food.at[0] + "%";
    label.style.top = 100 * food.at[1] + "%";
    return label;
  }));
  at("counts").replaceChildren(...state.counts.map((entry) => {
    const row = document.createElement("tr");
    row.append(...entry.map((cell) => Object.assign(document.createElement("td"), { textContent: cell })));
    return row;
  }));
  document.querySelectorAll("#judged .checked").forEach((each, number) => { each.hidden = !state.checked[number]; });
  say(state.said || (state.foods.length ? "Another food? " : "") + MARK);
  (then || rest)();
}

// The photo is at work: boxes and single keys.
function rest() {
  chosen = null;
  setMode("box");
  at("naming").hidden = true;
  current();
  photo.focus({ preventScroll: true });
}

function current() {
  [...at("foods").children].forEach((line, number) => line.firstChild.setAttribute("aria-current", String(number === chosen)));
}

// A food is at work: its name, or its mask.
function choose(number) {
  if (!shown || !shown.foods[number]) return;
  chosen = number;
  current();
  at("which").textContent = number + 1;
  at("naming").hidden = false;
  input.value = "";
  list();
  say(`Food ${number + 1}: choose a name by its number, or type one.`);
  input.focus();
}

const last = () => choose(shown.foods.length - 1);

// What is typed while the outline is sought counts once it is there.
function mark(action) {
  chosen = null;
  entered = "";
  options = [];
  at("names").replaceChildren();
  at("which").textContent = "";
  at("naming").hidden = false;
  input.value = "";
  input.focus();
  say("Finding its outline ...");
  act(action, () => {
    const typed = input.value;
    box.hidden = true;
    last();
    if (/^[1-9]$/.test(typed) && options[typed - 1]) return take(options[typed - 1]);
    input.value = typed;
    list();
    if (entered && typed) take(entered === "typed" ? typed : options[0]);
  });
}

function list() {
  if (chosen === null) return;  // the outline is not there yet
  const typed = input.value.trim().toLowerCase().replace(/\s+/g, " "), guesses = shown.foods[chosen].guesses;
  const shares = new Map(guesses), named = [...new Set([...guesses.map(([name]) => name), ...shown.categories])];
  const begins = named.filter((name) => name.startsWith(typed)).sort((a, b) => (b === typed) - (a === typed)), within = named.filter((name) => !begins.includes(name) && name.includes(typed));
  options = [...begins, ...within].slice(0, typed ? 40 : Math.max(9, guesses.length));
  if (typed && !named.includes(typed)) options.push(typed);
  active = 0;
  at("names").replaceChildren(...options.map((name, number) => {
    const line = document.createElement("li"), key = document.createElement("kbd"), share = document.createElement("small");
    line.id = "name-" + number;
    line.setAttribute("role", "option");
    key.textContent = !typed && number < 9 ? number + 1 : "";
    share.textContent = typed && !named.includes(name) ? "new category" : shares.get(name) ? Math.round(100 * shares.get(name)) + " %" : "";
    line.append(key, name, share);
    line.addEventListener("mousedown", (event) => event.preventDefault());  // the focus stays at the name
    line.addEventListener("click", () => take(name));
    return line;
  }));
  point();
}

function point() {
  [...at("names").children].forEach((line, number) => line.setAttribute("aria-selected", String(number === active)));
  const line = at("names").children[active];
  if (line) line.scrollIntoView({ block: "nearest" });
  if (line) input.setAttribute("aria-activedescendant", line.id); else input.removeAttribute("aria-activedescendant");
}

function take(name) {
  act({ do: "name", food: chosen, category: name });
  photo.focus({ preventScroll: true });  // the next key is the photo's
}

input.addEventListener("input", list);
input.addEventListener("keydown", (event) => {
  const digit = !input.value && /^[1-9]$/.test(event.key) ? options[event.key - 1] : undefined;
  if (digit !== undefined) take(digit);
  else if (event.key === "Enter" && chosen === null) entered = event.shiftKey ? "typed" : "first";
  else if (event.key === "Enter" && event.shiftKey && input.value.trim()) take(input.value);
  else if (event.key === "Enter" && options[active]) take(options[active]);
  else if (event.key === "Escape") { say("Left without a name. " + MARK); rest(); }
  else if (event.key === "ArrowDown" || event.key === "ArrowUp")
    { active = (active + (event.key === "ArrowDown" ? 1 : options.length - 1)) % (options.length || 1); point(); }
  else return;
  event.preventDefault();
});

function setMode(next) {
  mode = next;
  at("add").setAttribute("aria-pressed", String(mode === "add"));
  at("erase").setAttribute("aria-pressed", String(mode === "erase"));
  if (mode === "box") cursor = [0.3, 0.3, 0.7, 0.7];
  box.hidden = true;
}

function brush(next) {
  const food = chosen ?? (shown.foods.length ? shown.foods.length - 1 : null);
  setMode(mode === next ? "box" : next);
  say(mode === "box" ? MARK : (mode === "add" ? "Paint what belongs to " : "Wipe off what does not belong to ")
    + (food === null ? "a new food." : `food ${food + 1}.`));
  at("naming").hidden = true;
  chosen = food;
  current();
  photo.focus({ preventScroll: true });
}

// The radius of the brush and boxes are shares of the photo's width and height.
const radius = () => at("size").value / 100;
function draw(edges) {
  box.hidden = false;
  box.classList.toggle("round", mode !== "box");
  for (const [name, value] of [["left", edges[0]], ["top", edges[1]], ["width", edges[2] - edges[0]], ["height", edges[3] - edges[1]]])
    box.style[name] = 100 * value + "%";
}
function around(x, y) {
  const wide = radius(), high = wide * picture.clientWidth / picture.clientHeight;
  return [x - wide, y - high, x + wide, y + high];
}

const keys = {
  n: () => act({ do: "next" }), p: () => act({ do: "previous" }), u: () => act({ do: "undo" }), 0: () => act({ do: "empty" }),
  w: () => mark({ do: "whole" }), b: () => brush("add"), e: () => brush("erase"), f: () => last(),
  x: () => { if (shown.foods.length) act({ do: "remove", food: chosen ?? shown.foods.length - 1 }); },
  "[": () => { at("size").stepDown(3); }, "]": () => { at("size").stepUp(3); },
  Escape: () => { setMode("box"); corner = null; rest(); say(MARK); },
  Enter: () => {
    if (box.hidden) return draw(cursor);  // nobody marks what is not seen
    const [x0, y0, x1, y1] = cursor;
    if (mode === "box") mark({ do: "mark", places: [[x0, y0], [x1, y1]] });
    else stroke([[(x0 + x1) / 2, (y0 + y1) / 2]]);
  },
};
for (const button of document.querySelectorAll("[data-key]")) button.addEventListener("click", () => { if (shown) keys[button.dataset.key](); });
document.addEventListener("keydown", (event) => {
  const on = event.target;
  if (!shown || event.altKey || on === input || (event.key === "Enter" && on.matches("button, summary, a"))) return;
  if (on.type === "range" && event.key.startsWith("Arrow")) return;
  if ((event.ctrlKey || event.metaKey) && event.key !== "z") return;
  if (event.ctrlKey || event.metaKey) { event.preventDefault(); return keys.u(); }
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (step) {
    const [x, y] = step.map((part) => 0.02 * part), sized = event.shiftKey && mode === "box";
    const next = [cursor[0] + (sized ? 0 : x), cursor[1] + (sized ? 0 : y), cursor[2] + x, cursor[3] + y];
    if (mode !== "box") [next[0], next[1], next[2], next[3]] = around((next[0] + next[2]) / 2, (next[1] + next[3]) / 2);
    if (next[2] - next[0] > 0.01 && next[3] - next[1] > 0.01 && next[0] > -0.2 && next[1] > -0.2 && next[2] < 1.2 && next[3] < 1.2) cursor = next;
    draw(cursor);
  } else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});

// Pointer: a box by a drag or two corners, a click on a food, or a stroke of the brush.
let begun = null, path = [];
const share = (event) => {
  const frame = picture.getBoundingClientRect();
  return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
};
const between = ([x0, y0], [x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
photo.addEventListener("pointerdown", (event) => {
  if (!shown || event.button) return;
  photo.setPointerCapture(event.pointerId);
  begun = { at: share(event), x: event.clientX, y: event.clientY, moved: false };
  path = [begun.at];
  canvas.width = picture.clientWidth;
  canvas.height = picture.clientHeight;
});
photo.addEventListener("pointermove", (event) => {
  const here = share(event);
  if (mode !== "box") draw(around(...here));
  else if (corner && !begun) draw(between(corner, here));
  if (!begun) return;
  begun.moved ||= Math.hypot(event.clientX - begun.x, event.clientY - begun.y) > 6;
  if (mode === "box") { if (begun.moved) draw(between(begun.at, here)); return; }
  pen.strokeStyle = mode === "add" ? "#ffffffaa" : "#000000aa";
  pen.lineCap = pen.lineJoin = "round";
  pen.lineWidth = 2 * radius() * canvas.width;
  pen.beginPath();
  for (const [x, y] of [path.at(-1), here]) pen.lineTo(x * canvas.width, y * canvas.height);
  pen.stroke();
  path.push(here);
});
photo.addEventListener("pointerup", (event) => {
  if (!begun) return;
  const { at: from, moved } = begun, to = share(event);
  begun = null;
  if (mode !== "box") return stroke(path);
  const places = moved ? [from, to] : clicks ? [to] : corner ? [corner, to] : null;
  if (places) mark({ do: "mark", places });
  else { corner = to; say("Now click the opposite corner."); }
});
photo.addEventListener("pointercancel", () => { begun = null; pen.clearRect(0, 0, canvas.width, canvas.height); });
function stroke(places) {
  const food = chosen, now = mode;
  act({ do: "stroke", places, radius: radius(), erase: now === "erase", ...(food === null ? {} : { food }) }, () => {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    if (food === null) { setMode("box"); return last(); }
    chosen = food;
    current();
    say("Go on, or Escape to mark the next food.");
  });
}
for (const button of document.querySelectorAll("#judged button"))
  button.addEventListener("click", () => {
    const { photo: number, food } = button.dataset;
    act({ do: "open", photo: +number }, () => { choose(+food); scrollTo(0, 0); });
  });

act({ do: "open" });
