"use strict";
// Shows the flagged rows page by page. Texts become text nodes, never markup.
(function () {
  var PAGE = 20;
  var data = JSON.parse(document.getElementById("data").textContent);
  var form = document.getElementById("search");
  var list = document.getElementById("list");
  var chosen = new Map();
  var found = data.flagged;
  var first = 0;

  function element(name, text, className) {
    var made = document.createElement(name);
    if (text !== undefined) { made.textContent = text; }
    if (className) { made.className = className; }
    return made;
  }

  // The words of a row are put together when they are first looked for.
  function words(row) {
    if (row.text === undefined) {
      row.text = row.turns.map(function (turn) {
        return turn.asked + " " + turn.head + turn.span + turn.tail;
      }).join(" ").toLowerCase() + " " + row.row + " " + row.index;
    }
    return row.text;
  }

  function search() {
    var wanted = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    var name = form.elements["class"].value;
    var action = form.elements.action.value;
    var rule = form.elements.rule.value.trim();
    found = data.flagged.filter(function (row) {
      return (!action || row.action === action) &&
        (!name || row["class"] === name || row.turns.some(function (t) { return t["class"] === name; })) &&
        (!rule || row.turns.some(function (t) { return t.rule === rule; })) &&
        wanted.every(function (word) { return words(row).indexOf(word) >= 0; });
    });
    first = 0;
    show();
  }

  function difference(turn) {
    var before = turn.head + turn.span + turn.tail;
    var after = turn.stripped;
    var same = 0;
    while (same < after.length && before[before.length - 1 - same] === after[after.length - 1 - same]) { same += 1; }
    var shown = element("p");
    if (same < 12) {  // the end of a long answer is not here: show one after the other
      shown.append(element("del", before), "\n", element("ins", after));
      return shown;
    }
    shown.append(element("del", before.slice(0, before.length - same)));
    shown.append(element("ins", after.slice(0, after.length - same)));
    shown.append(before.slice(before.length - same) + (turn.more ? " \u2026" : ""));
    return shown;
  }

  function marked(turn) {
    var shown = element("p");
    shown.append(turn.head, element("mark", turn.span), turn.tail + (turn.more ? " \u2026" : ""));
    return shown;
  }

  function choice(row, action) {
    var button = element("button", action);
    button.type = "button";
    button.setAttribute("aria-pressed", String(chosen.get(row.row) === action));
    button.addEventListener("click", function () {
      if (chosen.get(row.row) === action) { chosen.delete(row.row); } else { chosen.set(row.row, action); }
      var lines = [];
      chosen.forEach(function (wish, name) { lines.push(JSON.stringify({ row: name, action: wish })); });
      document.getElementById("annotations").value = lines.join("\n") + (lines.length ? "\n" : "");
      show();
    });
    return button;
  }

  function article(row) {
    var made = element("article");
    var header = element("header");
    header.append(element("b", "Row " + row.index), element("span", row["class"]),
      element("span", row.action + (row.byHand ? " (by hand)" : "")),
      element("span", row.row, "mono muted"), choice(row, "keep"), choice(row, "drop"));
    made.append(header);
    row.turns.forEach(function (turn) {
      made.append(element("p", turn.asked, "asked"));
      made.append(turn.stripped === undefined ? marked(turn) : difference(turn));
      made.append(element("p", turn["class"] + " \u00b7 " + turn.rule + " \u00b7 score " + turn.score +
        " \u00b7 turn " + turn.turn + (turn.gone ? " \u00b7 taken out" : ""), "muted mono"));
    });
    return made;
  }

  function show() {
    list.replaceChildren.apply(list, found.slice(first, first + PAGE).map(article));
    var last = Math.min(first + PAGE, found.length);
    document.getElementById("where").textContent = found.length ?
      (first + 1) + " to " + last + " of " + found.length : "no such row";
    document.getElementById("back").disabled = first === 0;
    document.getElementById("on").disabled = last >= found.length;
  }

  function tryPolicy() {
    var wishes = {};
    document.querySelectorAll("select[data-class]").forEach(function (select) {
      wishes[select.dataset["class"]] = select.value;
    });
    var counts = {};
    data.actions.forEach(function (action) { counts[action] = 0; });
    data.combinations.forEach(function (pair) {
      var strongest = data.actions.find(function (action) {
        return pair[0].some(function (name) { return wishes[name] === action; });
      });
      counts[strongest] += pair[1];
    });
    var cells = document.querySelectorAll("#tried td");
    data.actions.forEach(function (action, n) { cells[n + 1].textContent = counts[action].toLocaleString("en"); });
    cells[cells.length - 1].textContent = (data.rows - data.quarantined - counts.drop).toLocaleString("en");
  }

  form.addEventListener("input", search);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  document.getElementById("back").addEventListener("click", function () { first = Math.max(0, first - PAGE); show(); });
  document.getElementById("on").addEventListener("click", function () { first += PAGE; show(); });
  document.querySelectorAll("select[data-class]").forEach(function (select) { select.addEventListener("change", tryPolicy); });
  tryPolicy();
  show();
}());
