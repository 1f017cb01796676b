"use strict";

// ---------------------------------------------------------------------------------------------- the data

const DATA = JSON.parse(document.getElementById("data").textContent);
const HUES = DATA.hues; // person → [left, middle, right]
const UNSURE = DATA.unsure, SURE = DATA.sure;
const CURVES = ["#1e1e1e", "#d55e00", "#0072b2"];
const AXES = { front: [0, 1], side: [2, 1], top: [0, 2] };
const VIEWS = ["video", "front", "side", "top", "3d"];
const $ = (id) => document.getElementById(id);

/** Little-endian float32 numbers of a base64 text. */
function floats(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const view = new DataView(bytes.buffer), found = new Float32Array(bytes.length / 4);
  for (let i = 0; i < found.length; i++) found[i] = view.getFloat32(4 * i, true);
  return found;
}

/** Decode what a clip needs, when it is first shown. */
function prepare(clip) {
  if (clip.ready) return clip;
  for (const skeleton of clip.skeletons) {
    skeleton.xyz = floats(skeleton.joints);
    skeleton.sure = skeleton.confidence ? floats(skeleton.confidence) : null;
  }
  if (clip.film) {
    clip.film.uv = clip.film.pixels ? floats(clip.film.pixels) : null;
    clip.film.loaded = clip.film.images.map((source) => {
      const image = new Image();
      image.onload = () => draw();
      image.src = source;
      return image;
    });
  }
  clip.ready = true;
  return clip;
}

// ---------------------------------------------------------------------------------------------- the state

const state = { clip: 0, frame: 0, playing: false, speed: 1, views: null, hidden: new Set(), yaw: 35, pitch: 12, zoom: 1 };
const current = () => prepare(DATA.clips[state.clip]);

/** The views that a clip has. */
function possible(clip) {
  const flat = clip.skeletons.every((one) => one.flat);
  return VIEWS.filter((view) => (view === "video" ? clip.film : clip.skeletons.length && (!flat || view === "front")));
}

function chosenViews(clip) {
  const can = possible(clip);
  const wanted = state.views || ["video", "front", "3d"];
  const found = can.filter((view) => wanted.includes(view));
  return found.length ? found : can.slice(0, 1);
}

function readFragment() {
  const given = new URLSearchParams(location.hash.slice(1));
  const number = (key, low, high, usual) => {
    const value = parseFloat(given.get(key));
    return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : usual;
  };
  if (given.has("clip")) {
    const at = DATA.clips.findIndex((clip) => clip.name === given.get("clip"));
    if (at >= 0) state.clip = at;
  }
  const clip = DATA.clips[state.clip];
  if (given.has("view")) state.views = given.get("view").split(",").filter((view) => VIEWS.includes(view));
  if (given.has("hide")) state.hidden = new Set(given.get("hide").split(",").map((one) => parseInt(one, 10) - 1));
  state.frame = Math.round(number("frame", 0, Math.max(0, clip.frames - 1), state.frame));
  state.yaw = number("yaw", -36000, 36000, state.yaw);
  state.pitch = number("pitch", -89, 89, state.pitch);
  state.zoom = number("zoom", 0.2, 10, state.zoom);
  state.speed = number("speed", 0.05, 8, state.speed);
}

/** Keep the state in the address, so that it can be linked. */
function writeFragment() {
  const clip = current(), parts = new URLSearchParams();
  if (DATA.clips.length > 1) parts.set("clip", clip.name);
  parts.set("frame", state.frame);
  parts.set("view", chosenViews(clip).join(","));
  if (state.hidden.size) parts.set("hide", [...state.hidden].map((one) => one + 1).join(","));
  parts.set("yaw", Math.round(state.yaw));
  parts.set("pitch", Math.round(state.pitch));
  if (state.zoom !== 1) parts.set("zoom", state.zoom.toFixed(2));
  if (state.speed !== 1) parts.set("speed", state.speed);
  try { history.replaceState(null, "", "#" + parts.toString().replaceAll("%2C", ",")); } catch { /* some browsers refuse it for files */ }
}

// ---------------------------------------------------------------------------------------------- places of joints

/** A function of (x, y, z) → [right, down, depth] in pixels of a square of a size. */
function projector(view, space, size) {
  const scale = size / (2 * space.half), [cx, cy, cz] = space.centre;
  if (view !== "3d") {
    const [right, up] = AXES[view];
    return (p) => [(p[right] - space.centre[right]) * scale + size / 2, size / 2 - (p[up] - space.centre[up]) * scale, 0];
  }
  const yaw = (state.yaw * Math.PI) / 180, pitch = (state.pitch * Math.PI) / 180;
  const cosY = Math.cos(yaw), sinY = Math.sin(yaw), cosP = Math.cos(pitch), sinP = Math.sin(pitch);
  const far = 5 * space.half;
  return (p) => {
    const x = p[0] - cx, y = p[1] - cy, z = p[2] - cz;
    const right = x * cosY + z * sinY, away = z * cosY - x * sinY;
    const up = y * cosP + away * sinP, depth = away * cosP - y * sinP;
    const k = (scale * state.zoom * 0.9 * far) / Math.max(far + depth, 0.2 * far);
    return [right * k + size / 2, size / 2 - up * k, depth];
  };
}

/** Places of the joints of one person at a frame: [right, down, depth] or null. */
function places(skeleton, frame, person, project) {
  const [, people, joints] = skeleton.shape, start = ((frame * people + person) * joints) * 3;
  const xyz = skeleton.xyz, found = [];
  let there = false;
  for (let j = 0; j < joints; j++) {
    const at = start + 3 * j, p = [xyz[at], xyz[at + 1], xyz[at + 2]];
    const known = p.every(Number.isFinite) && !(skeleton.sure && skeleton.sure[at / 3] <= 0);
    there = there || (known && p.some((value) => value !== 0));
    found.push(known ? project(p, j) : null);
  }
  return there ? found : null; // an absent person is all zero
}

const hue = (person) => HUES[person % HUES.length];
const sureness = (skeleton, frame, person, joint) => {
  const [, people, joints] = skeleton.shape;
  return skeleton.sure ? skeleton.sure[(frame * people + person) * joints + joint] : 1;
};

/** Draw one person; farther bones first. */
function drawPerson(c, skeleton, frame, person, at, thick, halo) {
  const bones = [];
  for (let j = 0; j < at.length; j++) {
    const parent = skeleton.parents[j];
    if (parent !== j && at[j] && at[parent]) bones.push([at[j][2] + at[parent][2], j, parent]);
  }
  bones.sort((one, other) => other[0] - one[0]);
  c.lineCap = "round";
  const stroke = (j, parent, width, colour) => {
    c.lineWidth = width; c.strokeStyle = colour;
    c.beginPath(); c.moveTo(at[j][0], at[j][1]); c.lineTo(at[parent][0], at[parent][1]); c.stroke();
  };
  if (halo) for (const [, j, parent] of bones) stroke(j, parent, thick + 2, "#fff");
  for (const [, j, parent] of bones) {
    const sure = Math.min(sureness(skeleton, frame, person, j), sureness(skeleton, frame, person, parent)) >= SURE;
    stroke(j, parent, thick, sure ? hue(person)[skeleton.sides[j]] : UNSURE);
  }
  let highest = null;
  at.forEach((p, j) => {
    if (!p) return;
    c.fillStyle = sureness(skeleton, frame, person, j) >= SURE ? hue(person)[skeleton.sides[j]] : UNSURE;
    c.beginPath(); c.arc(p[0], p[1], thick + 0.6, 0, 7); c.fill();
    if (skeleton.sides[j] === 0) { c.fillStyle = "#fff"; c.beginPath(); c.arc(p[0], p[1], thick * 0.5, 0, 7); c.fill(); }
    if (!highest || p[1] < highest[1]) highest = p;
  });
  if (skeleton.shape[1] > 1 && highest) {
    c.font = "bold 14px system-ui, sans-serif"; c.lineWidth = 3; c.strokeStyle = "#fff"; c.fillStyle = hue(person)[1];
    c.strokeText(person + 1, highest[0] - 4, highest[1] - 8); c.fillText(person + 1, highest[0] - 4, highest[1] - 8);
  }
}

// ---------------------------------------------------------------------------------------------- panels

let panels = []; // {view, skeleton, canvas, caption, shown: [{x, y, text}]}

function buildPanels() {
  const clip = current();
  $("panels").replaceChildren();
  panels = [];
  const add = (view, skeleton) => {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption");
    figure.append(canvas, caption);
    $("panels").append(figure);
    const panel = { view, skeleton, canvas, caption, shown: [] };
    if (view === "3d") canvas.classList.add("turns");
    listen(panel);
    panels.push(panel);
  };
  for (const view of chosenViews(clip)) {
    if (view === "video") add(view, clip.skeletons[0]);
    else for (const skeleton of clip.skeletons) if (view === "front" || !skeleton.flat) add(view, skeleton);
  }
}

/** A canvas in CSS pixels; returns its context and size. */
function sized(canvas, ratio) {
  const width = canvas.clientWidth || 320, height = Math.round(width * ratio), dense = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
    canvas.width = Math.round(width * dense); canvas.height = Math.round(height * dense);
    canvas.style.height = height + "px";
  }
  const c = canvas.getContext("2d");
  c.setTransform(dense, 0, 0, dense, 0, 0);
  c.clearRect(0, 0, width, height);
  return [c, width, height];
}

function drawPanel(panel) {
  const clip = current(), skeleton = panel.skeleton;
  panel.shown = [];
  if (panel.view === "video") return drawVideo(panel, clip);
  const [c, size] = sized(panel.canvas, 1), space = skeleton.space, project = projector(panel.view, space, size);
  grid(c, panel.view, skeleton, size, project);
  const frame = Math.min(state.frame, skeleton.shape[0] - 1);
  for (let person = 0; person < skeleton.shape[1]; person++) {
    if (state.hidden.has(person)) continue;
    const at = places(skeleton, frame, person, project);
    if (!at) continue;
    drawPerson(c, skeleton, frame, person, at, Math.max(2, size / 130), false);
    remember(panel, frame, person, at);
  }
  const axes = panel.view === "3d" ? `3-D, grid ${skeleton.space.step} ${skeleton.unit}` :
    `${panel.view}: ${"xyz"[AXES[panel.view][0]]} →, ${"xyz"[AXES[panel.view][1]]} ↑ in ${skeleton.unit}`;
  panel.caption.textContent = [skeleton.title, axes].filter(Boolean).join(", ");
}

function drawVideo(panel, clip) {
  const film = clip.film, skeleton = panel.skeleton, frame = Math.min(state.frame, film.image.length - 1);
  const [c, width, height] = sized(panel.canvas, film.size[1] / film.size[0]);
  const image = film.loaded[film.image[frame]];
  if (image.complete && image.naturalWidth) c.drawImage(image, 0, 0, width, height);
  panel.caption.textContent = `video, frame ${film.frame[frame]}`;
  if (!film.uv) return;
  const k = width / film.size[0], [, people, joints] = skeleton.shape;
  for (let person = 0; person < people; person++) {
    if (state.hidden.has(person)) continue;
    const at = [];
    for (let j = 0; j < joints; j++) {
      const start = ((frame * people + person) * joints + j) * 2, u = film.uv[start], v = film.uv[start + 1];
      at.push(Number.isFinite(u) && Number.isFinite(v) ? [u * k, v * k, 0] : null);
    }
    if (!at.some(Boolean)) continue;
    drawPerson(c, skeleton, frame, person, at, Math.max(1.5, height / 180), true);
    remember(panel, frame, person, at);
  }
}

/** Where joints are, for hovering. */
function remember(panel, frame, person, at) {
  const skeleton = panel.skeleton, [, people, joints] = skeleton.shape;
  at.forEach((p, j) => {
    if (!p) return;
    const start = ((frame * people + person) * joints + j) * 3;
    const xyz = [...skeleton.xyz.slice(start, start + 3)].map((value) => value.toPrecision(3)).join(", ");
    const sure = skeleton.sure ? `\nconfidence ${sureness(skeleton, frame, person, j).toFixed(2)}` : "";
    panel.shown.push({ x: p[0], y: p[1], text: `${skeleton.names[j]} (${j})\nperson ${person + 1}\n${xyz} ${skeleton.unit}${sure}` });
  });
}

function grid(c, view, skeleton, size, project) {
  const space = skeleton.space, low = space.centre.map((value) => value - space.half);
  const high = space.centre.map((value) => value + space.half), [gx, gy, gz] = space.ground;
  const line = (one, other, colour, dash, wide) => {
    const a = project(one), b = project(other);
    c.strokeStyle = colour; c.lineWidth = wide || 1; c.setLineDash(dash || []);
    c.beginPath(); c.moveTo(a[0], a[1]); c.lineTo(b[0], b[1]); c.stroke(); c.setLineDash([]);
  };
  const label = (text, p, dx, dy) => {
    const at = project(p);
    c.fillStyle = "#777"; c.font = "11px system-ui, sans-serif"; c.fillText(text, at[0] + dx, at[1] + dy);
  };
  const turned = (p, axis, value) => { const q = [...p]; q[axis] = value; return q; };
  if (view === "3d") { // the ground is at the height of the lowest joint
    for (const axis of [0, 2]) {
      const other = 2 - axis;
      for (const value of space.ticks[axis]) {
        const one = turned(turned([0, gy, 0], axis, value), other, low[other]);
        line(one, turned(one, other, high[other]), value === 0 ? "#999" : "#ddd");
      }
    }
    const corner = [gx, gy, gz], far = space.step;
    for (const [axis, name, colour] of [[0, "x", "#d55e00"], [1, "y", "#009e73"], [2, "z", "#0072b2"]]) {
      const end = turned(corner, axis, corner[axis] + far);
      line(corner, end, colour, null, 2);
      label(name, turned(corner, axis, corner[axis] + 1.15 * far), -3, 4);
    }
    return;
  }
  const [right, up] = AXES[view];
  for (const axis of [right, up]) for (const value of space.ticks[axis]) {
    const one = turned(low, axis, value), other = turned(high, axis, value);
    line(one, other, value === 0 ? "#bbb" : "#e8e8e8");
    if (axis === right) label(String(value), turned(low, axis, value), 2, -3);
    else if (project(turned(low, axis, value))[1] > 30) label(String(value), turned(low, axis, value), 2, -2);
  }
  if (view !== "top") {
    line([low[0], gy, low[2]], [high[0], gy, high[2]], "#999", [6, 6]);
    const edge = [high[0], gy, high[2]];
    label("lowest joint", edge, -66, 12);
  }
}

// ---------------------------------------------------------------------------------------------- the line of time

const ROW = 24, PLOT = 86;
let lineLeft = 80, lineRight = 0;

/** A text that is cut with dots where it is wider than so many pixels. */
function fitted(c, text, most) {
  if (most === undefined || c.measureText(text).width <= most) return text;
  while (text && c.measureText(text + "…").width > most) text = text.slice(0, -1);
  return text + "…";
}

function drawLines() {
  const clip = current(), canvas = $("line");
  const followed = clip.skeletons.filter((one) => !one.repeated);
  const rows = followed.reduce((sum, one) => sum + one.shape[1], 0);
  const tall = rows * ROW + (clip.recognition ? PLOT + 26 : 0) + 4;
  const width = canvas.clientWidth || 320, [c] = sized(canvas, tall / width);
  const side = width > 600 ? 200 : 0;
  lineLeft = width > 600 ? 80 : 26;
  lineRight = width - side - 4;
  const x = (frame) => lineLeft + (frame * (lineRight - lineLeft)) / Math.max(1, clip.frames - 1);
  const write = (text, left, y, colour, most) => { c.fillStyle = colour; c.font = "12px system-ui, sans-serif"; c.fillText(fitted(c, text, most), left, y); };
  let y = 2;
  for (const skeleton of followed) {
    const { present, speed, full, jumps, said } = skeleton.tracks;
    for (let person = 0; person < skeleton.shape[1]; person++) {
      const bottom = y + ROW - 4, tallest = ROW - 4;
      const named = followed.length > 1 ? skeleton.title : "person";
      if (width > 600) write(named, 2, y + 14, hue(person)[1], lineLeft - 22);
      write(String(person + 1), lineLeft - 16, y + 14, hue(person)[1]);
      const wide = (lineRight - lineLeft) / Math.max(1, clip.frames - 1) + 0.5;
      for (let t = 0; t < present[person].length; t++) {
        if (present[person][t] !== "1") continue;
        const high = Math.min(1, speed[person][t] / full) * tallest, at = x(t) - wide / 2;
        c.fillStyle = "#eee"; c.fillRect(at, y, wide, tallest);
        c.fillStyle = hue(person)[0]; c.fillRect(at, bottom - high, wide, high);
      }
      for (const t of jumps[person]) { c.fillStyle = "#be1e1e"; c.fillRect(x(t) - 1, y - 2, 2, ROW - 2); }
      if (side) write(said[person], lineRight + 10, y + 14, "#333", side - 10);
      y += ROW;
    }
  }
  if (clip.recognition) drawScores(c, clip, x, y + 4, side, write);
  c.fillStyle = "#1e1e1e"; c.fillRect(x(state.frame) - 1, 0, 2, tall);
}

function drawScores(c, clip, x, top, side, write) {
  const { ends, scores, best, shortest, classes } = clip.recognition, height = PLOT - 8;
  const y = (score) => top + height - score * height;
  if (shortest > 1) { c.fillStyle = "#ececec"; c.fillRect(x(0), top, x(shortest - 1) - x(0), height); }
  for (const share of [0, 0.5, 1]) {
    c.fillStyle = "#ddd"; c.fillRect(x(0), y(share), lineRight - lineLeft, 1);
    write(String(share), lineLeft - 24, y(share) + 4, "#777");
  }
  best.forEach((name, number) => {
    c.strokeStyle = CURVES[number]; c.lineWidth = 2; c.beginPath();
    ends.forEach((end, k) => c[k ? "lineTo" : "moveTo"](x(end - 1), y(scores[k][number])));
    c.stroke();
    if (side) {
      c.fillStyle = CURVES[number]; c.fillRect(lineRight + 10, top + 8 + 20 * number, 12, 3);
      write(`${scores[scores.length - 1][number].toFixed(2)} ${classes[number]}`, lineRight + 28, top + 14 + 20 * number, "#333", side - 30);
    }
  });
  write("score of the clip from its beginning to each frame; grey: shorter than any piece of it in a training", lineLeft, top + height + 18, "#777", lineRight - lineLeft);
}

// ---------------------------------------------------------------------------------------------- text around it

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function showClip() {
  const clip = current();
  $("name").textContent = [clip.name, clip.label].filter(Boolean).join(" · ");
  $("about").textContent = clip.about;
  $("left-out").textContent = clip.left_out ? `left out: ${clip.left_out}` : "";
  const empty = !clip.frames;
  for (const id of ["controls", "lines", "panels"]) $(id).style.display = empty ? "none" : "";
  $("slider").max = Math.max(0, clip.frames - 1);
  $("montage").style.display = clip.montage ? "" : "none";
  if (clip.montage) $("montage").firstElementChild.src = clip.montage;
  $("answers").replaceChildren(...clip.answers.flatMap((one) => [
    element("p", `${one.model}: ${one.question}`), element("p", `“${one.text}”${one.p_yes === null ? "" : `, p(yes) ${one.p_yes.toFixed(3)}`}`),
  ]));
  $("notes").replaceChildren(...clip.notes.map((note) => element("li", note)));
  [...$("clips").children].forEach((button, number) => {
    button.setAttribute("aria-current", number === state.clip);
    if (number === state.clip) button.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  choices("views", possible(clip), (view) => chosenViews(clip).includes(view), (view, on) => {
    const now = new Set(chosenViews(clip));
    if (on) now.add(view); else now.delete(view);
    state.views = VIEWS.filter((one) => now.has(one));
    rebuild();
  });
  const most = Math.max(0, ...clip.skeletons.map((one) => one.shape[1]));
  choices("people", most > 1 ? [...Array(most).keys()] : [], (person) => !state.hidden.has(person), (person, on) => {
    if (on) state.hidden.delete(person); else state.hidden.add(person);
    redraw();
  }, (person) => person + 1);
  buildPanels();
  redraw();
}

function choices(id, values, isOn, change, name = String) {
  const place = $(id);
  [...place.querySelectorAll("label")].forEach((one) => one.remove());
  place.style.display = values.length ? "" : "none";
  for (const value of values) {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = isOn(value);
    box.addEventListener("change", () => change(value, box.checked));
    label.append(box, ` ${name(value)}`);
    if (id === "people") label.style.color = hue(value)[1];
    place.append(label);
  }
}

function showRecognition(clip) {
  const place = $("recognition"), found = clip.recognition;
  place.replaceChildren();
  if (!found) return;
  let k = -1;
  while (k + 1 < found.ends.length && found.ends[k + 1] <= state.frame + 1) k++;
  place.append(element("p", `${found.model}: whole clip and so far`));
  const table = document.createElement("table");
  found.classes.forEach((name, number) => {
    const row = document.createElement("tr");
    row.append(element("td", found.scores[found.scores.length - 1][number].toFixed(3)), element("td", k < 0 ? "" : found.scores[k][number].toFixed(3)), element("td", name));
    table.append(row);
  });
  place.append(table);
}

function draw() {
  const clip = current();
  $("slider").value = state.frame;
  $("clock").textContent = clip.frames ? `frame ${state.frame} of 0 … ${clip.frames - 1}, ${(state.frame / clip.rate).toFixed(2)} s` : "";
  if (clip.frames) { panels.forEach(drawPanel); drawLines(); }
  showRecognition(clip);
}

function redraw() { draw(); if (!state.playing) writeFragment(); }
function rebuild() { showClip(); }

// ---------------------------------------------------------------------------------------------- what the user does

function seek(frame) {
  const clip = current();
  state.frame = Math.max(0, Math.min(clip.frames - 1, frame));
  redraw();
}

function go(number) {
  state.clip = (number + DATA.clips.length) % DATA.clips.length;
  state.frame = 0;
  showClip();
}

let last = 0, rest = 0;
function play(on) {
  state.playing = on && current().frames > 1;
  $("play").textContent = state.playing ? "pause" : "play";
  if (state.playing) { last = performance.now(); rest = 0; requestAnimationFrame(tick); } else writeFragment();
}

function tick(now) {
  if (!state.playing) return;
  const clip = current();
  rest += ((now - last) / 1000) * clip.rate * state.speed;
  last = now;
  const steps = Math.floor(rest);
  if (steps) { rest -= steps; state.frame = (state.frame + steps) % Math.max(1, clip.frames); draw(); }
  requestAnimationFrame(tick);
}

function listen(panel) {
  const canvas = panel.canvas;
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (panel.view === "3d") { from = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); }
    tip(panel, event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (from) {
      state.yaw -= (event.clientX - from[0]) * 0.5;
      state.pitch = Math.max(-89, Math.min(89, state.pitch + (event.clientY - from[1]) * 0.5));
      from = [event.clientX, event.clientY];
      draw();
    } else tip(panel, event);
  });
  const end = () => { if (from) { from = null; redraw(); } };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => { $("tip").style.display = "none"; });
  if (panel.view === "3d") canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    state.zoom = Math.max(0.2, Math.min(10, state.zoom * Math.exp(-event.deltaY / 500)));
    redraw();
  }, { passive: false });
}

/** The name of the joint under the pointer. */
function tip(panel, event) {
  const box = panel.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  let best = null, least = 14;
  for (const one of panel.shown) {
    const apart = Math.hypot(one.x - x, one.y - y);
    if (apart < least) { least = apart; best = one; }
  }
  const place = $("tip");
  place.style.display = best ? "block" : "none";
  if (!best) return;
  place.textContent = best.text;
  place.style.left = Math.min(event.clientX + 14, window.innerWidth - place.offsetWidth - 4) + "px";
  place.style.top = Math.min(event.clientY + 14, window.innerHeight - place.offsetHeight - 4) + "px";
}

function seekByLine(event) {
  const box = $("line").getBoundingClientRect(), clip = current();
  seek(Math.round(((event.clientX - box.left - lineLeft) / (lineRight - lineLeft)) * (clip.frames - 1)));
}

$("play").addEventListener("click", () => play(!state.playing));
$("slider").addEventListener("input", () => seek(parseInt($("slider").value, 10)));
$("speed").addEventListener("change", () => { state.speed = parseFloat($("speed").value); redraw(); });
$("line").addEventListener("pointerdown", (event) => { $("line").setPointerCapture(event.pointerId); seekByLine(event); });
$("line").addEventListener("pointermove", (event) => { if (event.buttons) seekByLine(event); });
window.addEventListener("resize", () => draw());
window.addEventListener("hashchange", () => { readFragment(); showClip(); });
window.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
  const slider = event.target === $("slider"), button = event.target.matches("button, input[type=checkbox]");
  const step = event.shiftKey ? 10 : 1;
  const speeds = [...$("speed").options].map((one) => parseFloat(one.value));
  const faster = (by) => {
    const at = speeds.findIndex((one) => one >= state.speed);
    state.speed = speeds[Math.max(0, Math.min(speeds.length - 1, (at < 0 ? speeds.length - 1 : at) + by))];
    $("speed").value = state.speed;
    redraw();
  };
  const actions = {
    " ": () => play(!state.playing), ArrowLeft: () => seek(state.frame - step), ArrowRight: () => seek(state.frame + step),
    Home: () => seek(0), End: () => seek(current().frames - 1), ArrowUp: () => go(state.clip - 1), ArrowDown: () => go(state.clip + 1),
    "+": () => faster(1), "-": () => faster(-1), r: () => { state.yaw = 35; state.pitch = 12; state.zoom = 1; redraw(); },
  };
  VIEWS.forEach((view, number) => {
    actions[String(number + 1)] = () => {
      if (!possible(current()).includes(view)) return;
      const now = new Set(chosenViews(current()));
      if (now.has(view)) now.delete(view); else now.add(view);
      state.views = VIEWS.filter((one) => now.has(one));
      rebuild();
    };
  });
  const action = actions[event.key];
  if (!action || (button && event.key === " ")) return;
  if (slider && event.key === " ") event.target.blur();
  event.preventDefault();
  action();
});

$("clips").classList.toggle("one", DATA.clips.length < 2);
DATA.clips.forEach((clip, number) => {
  const button = element("button", clip.name);
  button.type = "button";
  button.append(element("span", clip.left_out ? "left out" : clip.label));
  button.classList.toggle("out", Boolean(clip.left_out));
  button.addEventListener("click", () => go(number));
  $("clips").append(button);
});
const begins = new URLSearchParams(location.hash.slice(1)).has("play");
readFragment();
if ([...$("speed").options].some((one) => parseFloat(one.value) === state.speed)) $("speed").value = state.speed;
showClip();
if (begins) play(true);
