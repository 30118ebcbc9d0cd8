"use strict";
(() => {
  const LEFT = 92, RIGHT = 40, TOP = 40, LINE = 15, LETTER = 5.9, SVG = "http://www.w3.org/2000/svg";
  const select = byId("ladder-choice");
  if (!select) return;

  function make(parent, tag, attributes, text) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  const across = (place) => LEFT + place;
  const down = (place) => TOP + place;
  const halo = { "paint-order": "stroke", stroke: "#fff", "stroke-width": 3, "stroke-linejoin": "round" };

  function frame(svg, drawn) {
    const bottom = down(drawn.height) + 16, last = drawn.nodes.at(-1)[1];
    drawn.nodes.forEach(([node, place]) => {
      const x = across(place), short = node.length > 17 ? node.slice(0, 16) + "…" : node;
      make(svg, "line", { x1: x, x2: x, y1: TOP - 12, y2: bottom, stroke: "#b9c1c6" });
      const name = make(svg, "text", { x, y: TOP - 20, "text-anchor": "middle", "font-weight": 600 }, short);
      make(name, "title", {}, node);
    });
    drawn.cuts.forEach(([start, end, text]) => {
      const y = down((start + end) / 2);
      make(svg, "rect", { x: LEFT - 8, y: y - 10, width: last + 16, height: 20, fill: "#fff" });
      make(svg, "text", { x: across(last / 2), y: y + 4, "text-anchor": "middle", fill: "#667" }, `⋮ ${text} ⋮`);
    });
    drawn.ticks.forEach(([place, text]) => {
      make(svg, "line", { x1: LEFT - 18, x2: LEFT - 12, y1: down(place), y2: down(place), stroke: "#889" });
      make(svg, "text", { x: LEFT - 22, y: down(place) + 4, "text-anchor": "end", fill: "#556", "font-size": 10 }, text);
    });
  }

  /** Draw an arrow, in the colours of all its messages. */
  function arrow(svg, drawn, { path, kinds, lost, words }) {
    const group = make(svg, "g", { class: "arrow" });
    make(group, "title", {}, words + (lost ? " (lost)" : ""));
    const points = path.map(([x, y]) => [across(x), down(y)]), dash = 6;
    kinds.forEach((kind, number) => {
      const pattern = kinds.length > 1 ? `${dash} ${dash * (kinds.length - 1)}` : "none";
      make(group, "polyline", { points: points.join(" "), fill: "none", stroke: drawn.colours[kind], "stroke-width": 1.6,
        "stroke-dasharray": pattern, "stroke-dashoffset": -dash * number });
    });
    const [[x1, y1], [x2, y2]] = points.slice(-2);
    const turn = `translate(${x2} ${y2}) rotate(${(Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI})`;
    if (lost) make(group, "path", { d: "M-5-5L5 5M-5 5L5-5", stroke: "#333", "stroke-width": 1.8, transform: turn });
    else make(group, "path", { d: "M0 0L-9-4L-9 4Z", fill: drawn.colours[kinds.at(-1)], transform: turn });
  }

  function caption(svg, [text, x, y, angle]) {
    const transform = `translate(${across(x)} ${down(y)}) rotate(${angle})`;
    const style = { "text-anchor": "middle", "dominant-baseline": "central", "font-size": 10, fill: "#222", ...halo };
    make(svg, "text", { transform, ...style }, text);
  }

  /** Write what happened at nodes in a margin on the right, one beneath the other, each with a line to its node. */
  function notes(svg, drawn) {
    const margin = across(drawn.nodes.at(-1)[1]) + RIGHT;
    let free = 0, right = margin;
    for (const note of [...drawn.notes].sort((a, b) => a.down - b.down)) {
      const at = down(note.down), y = Math.max(at, free), last = across(Math.max(...note.columns));
      free = y + LINE;
      for (const place of note.columns) make(svg, "circle", { cx: across(place), cy: at, r: 3.2, fill: "#556" });
      const points = `${last},${at} ${margin - 16},${at} ${margin - 6},${y}`;
      make(svg, "polyline", { points, fill: "none", stroke: "#c3c9cd", "stroke-dasharray": "1 3" });
      make(svg, "text", { x: margin - 2, y: y + 4, "font-size": 10.5, fill: "#444" }, note.text);
      right = Math.max(right, margin + LETTER * note.text.length);
    }
    return [right, free];
  }

  function show() {
    const drawn = DATA.ladders[select.value];
    if (!drawn) {
      byId("ladder-title").textContent = "This run has none.";
      byId("ladder").replaceChildren();
      return;
    }
    byId("ladder-title").textContent = drawn.title;
    const svg = document.createElementNS(SVG, "svg");
    frame(svg, drawn);
    const [right, low] = notes(svg, drawn);
    drawn.arrows.forEach((one) => arrow(svg, drawn, one));
    drawn.arrows.forEach((one) => caption(svg, one.label));
    const [width, height] = [right + 10, Math.max(down(drawn.height), low) + 26];
    Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` }).forEach(([name, value]) => svg.setAttribute(name, value));
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", drawn.title);
    byId("ladder").replaceChildren(svg);
  }

  function offer() {
    fill(select, DATA.ladders.map((drawn) => drawn.name));
    show();
  }

  select.addEventListener("change", show);
  document.addEventListener("run", offer);
  offer();
})();
