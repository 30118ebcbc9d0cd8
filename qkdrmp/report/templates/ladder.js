"use strict";
(() => {
  const LEFT = 92, RIGHT = 40, TOP = 40, COLUMN = 160, LINE = 15, LETTER = 5.9, SVG = "http://www.w3.org/2000/svg";
  const select = byId("ladder-choice");
  if (!select) return;

  function make(parent, tag, attributes, text) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  const across = (column) => LEFT + COLUMN * column;
  const down = (place) => TOP + place;
  const halo = { "paint-order": "stroke", stroke: "#fff", "stroke-width": 3, "stroke-linejoin": "round" };

  function frame(svg, told) {
    const bottom = down(told.height) + 16;
    told.nodes.forEach((node, column) => {
      make(svg, "line", { x1: across(column), x2: across(column), y1: TOP - 12, y2: bottom, stroke: "#b9c1c6" });
      const short = node.length > 17 ? node.slice(0, 16) + "…" : node;
      const name = make(svg, "text", { x: across(column), y: TOP - 20, "text-anchor": "middle", "font-weight": 600 }, short);
      make(name, "title", {}, node);
    });
    told.cuts.forEach(([start, end, text]) => {
      const y = down((start + end) / 2), width = across(told.nodes.length - 1) - LEFT;
      make(svg, "rect", { x: LEFT - 8, y: y - 10, width: width + 16, height: 20, fill: "#fff" });
      make(svg, "text", { x: LEFT + width / 2, y: y + 4, "text-anchor": "middle", fill: "#667" }, `⋮ ${text} ⋮`);
    });
    told.ticks.forEach(([place, text]) => {
      make(svg, "line", { x1: LEFT - 18, x2: LEFT - 12, y1: down(place), y2: down(place), stroke: "#889" });
      make(svg, "text", { x: LEFT - 22, y: down(place) + 4, "text-anchor": "end", fill: "#556", "font-size": 10 }, text);
    });
  }

  function arrow(svg, told, [source, target, from, to, label, kind, lost]) {
    const colour = told.colours[kind] || "#333", self = source === target;
    const x1 = across(source) + (self ? 26 : 0), y1 = down(from), share = lost ? 0.5 : 1;
    const x2 = self ? across(source) : x1 + share * (across(target) - x1);
    const y2 = self ? Math.max(down(to), y1 + 8) : y1 + share * (down(to) - y1);
    const angle = Math.atan2(y2 - y1, x2 - x1);
    const group = make(svg, "g", { class: "arrow" });
    make(group, "title", {}, label + (lost ? " (lost)" : ""));
    if (self) make(group, "line", { x1: across(source), y1, x2: x1, y2: y1, stroke: colour, "stroke-width": 1.6 });
    make(group, "line", { x1, y1, x2, y2, stroke: colour, "stroke-width": 1.6, "stroke-dasharray": lost ? "4 3" : "none" });
    const turn = `translate(${x2} ${y2}) rotate(${(angle * 180) / Math.PI})`;
    if (lost) make(group, "path", { d: "M-5-5L5 5M-5 5L5-5", stroke: "#333", "stroke-width": 1.8, transform: turn });
    else make(group, "path", { d: "M0 0L-9-4L-9 4Z", fill: colour, transform: turn });
    return (taken) => caption(svg, taken, self ? [x1, y1, x1 + 110, y1] : [x1, y1, x2, y2], label);
  }

  /** Write a label along an arrow, left to right, where it covers least; one too long for the arrow ends with dots. */
  function caption(svg, taken, [x1, y1, x2, y2], label) {
    const length = Math.hypot(x2 - x1, y2 - y1), most = Math.max(8, Math.floor(length / LETTER));
    const text = label.length > most ? label.slice(0, most - 1) + "…" : label;
    const sign = x2 < x1 ? -1 : 1, forward = [(sign * (x2 - x1)) / length, (sign * (y2 - y1)) / length];
    const free = Math.max(0, 0.5 - (LETTER * text.length) / length / 2);
    const places = [-4, 11].flatMap((side) => [0, -1, 1, -0.5, 0.5].map((shift) => {
      const share = 0.5 + shift * free;
      return { x: x1 + share * (x2 - x1) - side * forward[1], y: y1 + share * (y2 - y1) + side * forward[0] };
    }));
    const spread = (place) => [...text].map((_, number) => {
      const along = LETTER * (number - (text.length - 1) / 2);
      return [place.x + along * forward[0] + 3 * forward[1], place.y + along * forward[1] - 3 * forward[0]];
    });
    const cost = (place) => spread(place).filter(([x, y]) =>
      taken.some(([a, b]) => Math.abs(x - a) < 7 && Math.abs(y - b) < 9)).length;
    const costs = places.map(cost), best = places[costs.indexOf(Math.min(...costs))];
    taken.push(...spread(best));
    const angle = (Math.atan2(forward[1], forward[0]) * 180) / Math.PI;
    const transform = `translate(${best.x} ${best.y}) rotate(${angle})`;
    make(svg, "text", { transform, "text-anchor": "middle", "font-size": 10, fill: "#222", ...halo }, text);
  }

  /** Write what happened at nodes in a margin on the right, one beneath the other, each with a line to its node. */
  function notes(svg, told) {
    const margin = across(told.nodes.length - 1) + RIGHT;
    let free = 0, right = margin;
    for (const [columns, place, text] of [...told.notes].sort((a, b) => a[1] - b[1])) {
      const who = columns.map((column) => told.nodes[column]).join(", "), written = `${who}: ${text}`;
      const y = Math.max(down(place), free), last = across(Math.max(...columns));
      free = y + LINE;
      for (const column of columns) make(svg, "circle", { cx: across(column), cy: down(place), r: 3.2, fill: "#556" });
      const line = `${last},${down(place)} ${margin - 16},${down(place)} ${margin - 6},${y}`;
      make(svg, "polyline", { points: line, fill: "none", stroke: "#c3c9cd", "stroke-dasharray": "1 3" });
      make(svg, "text", { x: margin - 2, y: y + 4, "font-size": 10.5, fill: "#444" }, written);
      right = Math.max(right, margin + LETTER * written.length);
    }
    return [right, free];
  }

  function show() {
    const told = DATA.ladders[select.value];
    byId("ladder-title").textContent = told.title;
    const svg = document.createElementNS(SVG, "svg");
    frame(svg, told);
    const [right, low] = notes(svg, told);
    const captions = told.arrows.map((one) => arrow(svg, told, one));
    const taken = [];
    captions.forEach((write) => write(taken));
    svg.setAttribute("width", right + 10);
    svg.setAttribute("height", Math.max(down(told.height), low) + 26);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", told.title);
    byId("ladder").replaceChildren(svg);
  }

  fill(select, DATA.ladders.map((told) => told.name));
  select.addEventListener("change", show);
  show();
})();
