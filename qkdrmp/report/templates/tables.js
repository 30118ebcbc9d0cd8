"use strict";
(() => {
  const SHOWN = 500;

  function element(parent, tag, properties = {}, text = "") {
    const made = Object.assign(document.createElement(tag), properties);
    if (text !== "") made.textContent = text;
    parent.append(made);
    return made;
  }

  const isNumber = (column) => column.values.some((value) => typeof value === "number") &&
    column.values.every((value) => value === null || typeof value === "number");

  function rounded(value) {
    if (value === null) return "";
    if (typeof value !== "number") return String(value);
    if (Number.isInteger(value)) return String(value);
    return Math.abs(value) >= 1000 ? value.toFixed(1) : String(Number(value.toPrecision(4)));
  }

  /** Return a cell of a CSV file: the exact value. */
  function exact(value) {
    const text = value === null ? "" : value === true ? "True" : value === false ? "False" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv(table) {
    const lines = [table.columns.map((column) => exact(column.name)).join(",")];
    for (let row = 0; row < table.rows; row++) lines.push(table.columns.map((column) => exact(column.values[row])).join(","));
    return lines.join("\n") + "\n";
  }

  function download(table) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
    link.download = `${table.title.toLowerCase().replaceAll(" ", "_")}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function compare(a, b) {
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1; // what is not known comes last
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  }

  function sorted(table, number, descending) {
    const values = table.columns[number].values, sign = descending ? -1 : 1;
    return [...Array(table.rows).keys()].sort((a, b) =>
      values[a] === null || values[b] === null ? compare(values[a], values[b]) : sign * compare(values[a], values[b]));
  }

  function fillBody(body, table, order) {
    const rows = order.slice(0, SHOWN).map((row) => {
      const line = document.createElement("tr");
      for (const column of table.columns) {
        const cell = element(line, "td", { className: column.isNumber ? "number" : "" }, rounded(column.values[row]));
        if (typeof column.values[row] === "string" && column.values[row].length > 30) cell.title = column.values[row];
      }
      return line;
    });
    body.replaceChildren(...rows);
  }

  function build(box, table) {
    const bar = element(box, "div", { className: "bar" });
    const button = element(bar, "button", { type: "button" }, "Download CSV");
    button.setAttribute("aria-label", `Download ${table.title} as CSV`);
    button.addEventListener("click", () => download(table));
    const cut = table.rows < table.of ? `; of ${table.of} rows the first ${table.rows} are kept here` : "";
    element(bar, "span", { className: "aside" }, table.rows > SHOWN ? `the first ${SHOWN} of ${table.rows} rows${cut}` : "");
    const scroll = element(box, "div", { className: "scroll", tabIndex: 0 });
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", table.title);
    const grid = element(scroll, "table"), head = element(element(grid, "thead"), "tr"), body = element(grid, "tbody");
    table.columns.forEach((column, number) => {
      column.isNumber = isNumber(column);
      const header = element(head, "th", { scope: "col", className: column.isNumber ? "number" : "" });
      element(header, "button", { type: "button" }, column.name).addEventListener("click", () => {
        const descending = header.getAttribute("aria-sort") === "ascending";
        for (const other of head.children) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", descending ? "descending" : "ascending");
        fillBody(body, table, sorted(table, number, descending));
      });
    });
    fillBody(body, table, [...Array(table.rows).keys()]);
  }

  function list(place, tables, opened) {
    place.replaceChildren();
    tables.forEach((table, number) => {
      const box = element(place, "details", { open: number === opened });
      element(box, "summary", {}, `${table.title} (${table.of.toLocaleString("en")} ${table.of === 1 ? "row" : "rows"})`);
      if (box.open) build(box, table);
      else box.addEventListener("toggle", () => build(box, table), { once: true });
    });
  }

  list(byId("table-list"), DATA.tables, 0);
  const ofRun = () => list(byId("run-tables"), DATA.runTables);
  document.addEventListener("run", ofRun);
  ofRun();
})();
