"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** Fill a select with texts; their values are `values`, or their numbers. */
function fill(select, texts, values) {
  select.replaceChildren();
  texts.forEach((text, number) => select.add(new Option(text, values ? values[number] : number)));
}

/** Draw a chart and give its view, or null if the page has none. */
async function draw(id) {
  const place = byId(id);
  if (!place || !DATA[id]) return null;
  const actions = { export: true, source: false, compiled: false, editor: false };
  const drawn = await vegaEmbed(place, DATA[id], { renderer: "svg", actions, downloadFileName: id });
  return drawn.view;
}

const VIEWS = {};

function show(name, value, ...ids) {
  return Promise.all(ids.filter((id) => VIEWS[id]).map((id) => VIEWS[id].signal(name, value).runAsync()));
}

/** Give the map the shape of the network, however wide the page is. */
function shapeMap() {
  const place = byId("map");
  place.style.maxWidth = `${DATA.map.height * DATA.aspect}px`;
  const height = Math.round(place.clientWidth / DATA.aspect);
  if (VIEWS.map) VIEWS.map.height(height).runAsync();
  else DATA.map.height = height;
}

const PAPER = 688; // pixels of the width of A4 without its margins
const CHARTS = ["curves", "heatmap", "map", "level"];

/** Draw the charts again as wide as the paper, so that their letters have their size there. */
function fitPaper() {
  for (const name of CHARTS.filter((one) => VIEWS[one])) {
    const width = name === "map" ? Math.min(PAPER, DATA.map.height * DATA.aspect) : PAPER;
    VIEWS[name].width(width);
    if (name === "map") VIEWS.map.height(Math.round(width / DATA.aspect));
    VIEWS[name].runAsync(); // after what it is about to do anyway
  }
}

function fitScreen() {
  window.dispatchEvent(new Event("resize")); // which shapes all charts
}

async function start() {
  shapeMap();
  const views = await Promise.all(CHARTS.map(draw));
  CHARTS.forEach((name, number) => (VIEWS[name] = views[number]));
  if (VIEWS.curves) startMetrics();
  startTime();
  startLinks();
  startRuns();
  window.addEventListener("resize", shapeMap);
  window.matchMedia("print").addEventListener("change", (media) => (media.matches ? fitPaper() : fitScreen()));
  document.body.dataset.drawn = "yes";
}

function startMetrics() {
  const select = byId("metric");
  fill(select, Object.values(DATA.metrics), Object.keys(DATA.metrics));
  select.addEventListener("change", () => show("metric", select.value, "curves", "heatmap"));
}

function showTime() {
  const slider = byId("frame");
  byId("when").textContent = DATA.frames[slider.value];
  slider.setAttribute("aria-valuetext", DATA.frames[slider.value]);
  return show("frame", Number(slider.value), "map", "level");
}

function startTime() {
  const slider = byId("frame");
  slider.max = DATA.frames.length - 1;
  slider.value = slider.max;
  slider.addEventListener("input", showTime);
  showTime();
}

function startLinks() {
  const select = byId("link");
  if (!VIEWS.level) return;
  select.addEventListener("change", showLink);
  offerLinks();
}

function showLink() {
  return show("link", byId("link").value, "map", "level");
}

/** List the links of the run shown, and choose one by a click on the map, too. */
function offerLinks() {
  const select = byId("link");
  fill(select, DATA.links, DATA.links);
  select.value = VIEWS.level.signal("link");
  VIEWS.map.addEventListener("click", (event, item) => {
    const name = item && item.datum && item.datum.link;
    if (!DATA.links.includes(name)) return;
    select.value = name;
    showLink();
  });
}

const RUNS = [DATA];

/** Return what is known about a run; all but the first are kept compressed. */
async function runData(number) {
  if (!RUNS[number]) {
    const bytes = Uint8Array.from(atob(DATA.others[number - 1]), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    RUNS[number] = await new Response(stream).json();
  }
  return RUNS[number];
}

/** Show another run: its map, levels, ladders and tables, at the same share of its time and with the same link. */
async function showRun(number) {
  const known = await runData(number), link = byId("link") && byId("link").value;
  Object.assign(DATA, known);
  byId("finding").textContent = DATA.finding;
  byId("run-words").textContent = DATA.runs[number];
  byId("most-served").textContent = DATA.mostServed;
  for (const name of ["map", "level"]) if (VIEWS[name]) VIEWS[name].finalize();
  VIEWS.map = null;
  shapeMap();
  VIEWS.map = await draw("map");
  VIEWS.level = await draw("level");
  if (VIEWS.level) {
    offerLinks();
    if (DATA.links.includes(link)) byId("link").value = link;
    await showLink();
  }
  await showTime();
  document.dispatchEvent(new Event("run"));
  byId("map").dataset.run = number;
}

function startRuns() {
  const select = byId("run");
  if (!select) return;
  RUNS[0] = { ...DATA };
  fill(select, DATA.runs);
  let last = Promise.resolve(); // one after the other, however fast they are chosen
  select.addEventListener("change", () => (last = last.then(() => showRun(Number(select.value)))));
}

start();
