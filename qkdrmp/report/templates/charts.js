"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** Fill a select with texts; their values are `values`, or their numbers. */
function fill(select, texts, values) {
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

async function start() {
  shapeMap();
  const names = ["curves", "heatmap", "map", "level"];
  const views = await Promise.all(names.map(draw));
  names.forEach((name, number) => (VIEWS[name] = views[number]));
  startMetrics();
  startTime();
  if (VIEWS.level) startLinks();
  window.addEventListener("resize", shapeMap);
  document.body.dataset.drawn = "yes";
}

function startMetrics() {
  const select = byId("metric");
  fill(select, Object.values(DATA.metrics), Object.keys(DATA.metrics));
  select.addEventListener("change", () => show("metric", select.value, "curves", "heatmap"));
}

function startTime() {
  const slider = byId("frame");
  const update = () => {
    byId("when").textContent = DATA.frames[slider.value];
    slider.setAttribute("aria-valuetext", DATA.frames[slider.value]);
    return show("frame", Number(slider.value), "map", "level");
  };
  slider.max = DATA.frames.length - 1;
  slider.value = slider.max;
  slider.addEventListener("input", update);
  update();
}

function startLinks() {
  const select = byId("link");
  fill(select, DATA.links, DATA.links);
  select.value = VIEWS.level.signal("link");
  const choose = () => show("link", select.value, "map", "level");
  select.addEventListener("change", choose);
  VIEWS.map.addEventListener("click", (event, item) => {
    const name = item && item.datum && item.datum.link;
    if (!DATA.links.includes(name)) return;
    select.value = name;
    choose();
  });
}

start();
