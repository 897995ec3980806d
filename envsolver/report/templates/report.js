"use strict";
(() => {
  const table = document.querySelector("table.results");
  if (table) {
    const body = table.tBodies[0];
    const rows = [...body.querySelectorAll("tr")];
    const controls = document.querySelector(".controls");
    const search = document.getElementById("search");
    const group = document.getElementById("group");
    const python = document.getElementById("python");
    const buttons = [...document.querySelectorAll(".verdicts button")];
    const shown = document.getElementById("shown");
    const nothing = document.getElementById("nothing");

    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const verdicts = buttons.filter((b) => b.getAttribute("aria-pressed") === "true").map((b) => b.value);
      let count = 0;
      for (const row of rows) {
        const data = row.dataset;
        const fits = (!verdicts.length || verdicts.includes(data.verdict))
          && (!group || !group.value || group.value === data.group)
          && (!python || !python.value || python.value === data.python)
          && words.every((word) => data.text.includes(word));
        row.hidden = !fits;
        count += fits;
      }
      shown.textContent = count === rows.length ? `${count} shown` : `${count} of ${rows.length} shown`;
      nothing.hidden = count > 0;
    };

    const sort = (header) => {
      const column = [...header.parentElement.children].indexOf(header);
      const numeric = header.dataset.sort === "number";
      const old = header.getAttribute("aria-sort");
      // Numbers are most telling from the greatest down.
      const ascending = old === "none" ? !numeric : old === "descending";
      for (const other of header.parentElement.children) other.setAttribute("aria-sort", "none");
      header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.value;
      const compare = (a, b) => {
        const [x, y] = [value(a), value(b)];
        // What has no value stands last either way.
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = numeric ? x - y : x.localeCompare(y, undefined, { numeric: true });
        return ascending ? order : -order;
      };
      body.append(...rows.sort(compare));
    };

    for (const button of buttons) {
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        filter();
      });
    }
    for (const field of [search, group, python]) field?.addEventListener("input", filter);
    for (const header of table.querySelectorAll("th")) {
      header.querySelector("button").addEventListener("click", () => sort(header));
    }
    controls.hidden = false;
    filter();
  }

  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) {
      for (let each = target; each; each = each.parentElement.closest("details")) each.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    } else if (target instanceof HTMLTableRowElement) {
      const more = target.querySelector("details");
      if (more) more.open = true;
      target.scrollIntoView({ block: "center" });
    }
  };
  addEventListener("hashchange", open);
  document.addEventListener("click", (event) => {
    // A link to where the page already is changes no hash, and must open its target all the same.
    const link = event.target.closest("a[href^='#']");
    if (link && link.getAttribute("href") === location.hash) {
      event.preventDefault();
      open();
    }
  });
  open();
})();
