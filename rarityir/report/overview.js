"use strict";
// What the page does: tables that sort and filter, and two systems topic by topic. Texts are set as text, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const minus = (text) => text.replace("-", "−");
  const signed = (value) => minus((value >= 0 ? "+" : "") + value.toFixed(4));
  const make = (tag, attributes = {}, ...children) => {
    const svg = ["svg", "rect", "line"].includes(tag);
    const found = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) if (value !== null) found.setAttribute(key, value);
    found.append(...children);
    return found;
  };
  const isolated = (text, tag = "bdi") => make(tag, {}, text);
  document.documentElement.classList.add("scripted");

  // Tables: a head is a button; absent figures stay last whichever way a column is sorted.
  const said = make("p", { class: "said", role: "status" });
  document.body.append(said);
  const value = (row, column, numeric) => {
    const held = row.cells[column].dataset.v;
    if (!numeric) return held ?? row.cells[column].textContent;
    return held === undefined ? null : Number(held);
  };
  const compare = (one, other, way) => {
    if (one === null || other === null) return (one === null) - (other === null);
    return way * (typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true }));
  };
  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    const original = [...table.tBodies[0].rows];
    heads.forEach((head, column) => {
      const numeric = head.classList.contains("number");
      const label = head.textContent;
      const button = make("button", { type: "button" }, label);
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const ways = numeric ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
        const way = ways[(ways.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
        heads.forEach((other) => other.setAttribute("aria-sort", other === head ? way : "none"));
        const rows = [...original];
        const sign = way === "ascending" ? 1 : -1;
        if (way !== "none") rows.sort((a, b) => compare(value(a, column, numeric), value(b, column, numeric), sign));
        table.tBodies[0].append(...rows);
        said.textContent = way === "none" ? "in the first order" : `sorted by ${label}, ${way}`;
      });
    });
  };
  document.querySelectorAll("table[data-sortable]").forEach(sortable);

  // A box hides the rows that lack one of its words.
  const narrow = (box, told, rows, text, noun) => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const shown = text(row).toLowerCase();
      row.hidden = !words.every((word) => shown.includes(word));
      count += !row.hidden;
    }
    told.textContent = `${count} of ${rows.length} ${noun}`;
  };
  const rows = [...byId("t-systems").tBodies[0].rows];
  const filter = () => narrow(byId("filter"), byId("count"), rows, (row) => row.cells[0].dataset.v, "systems");
  byId("filter").addEventListener("input", filter);
  filter();

  // A link to a row that the filter hides shows it again.
  const reveal = (place) => {
    const row = /^#s\d+$/.test(place) ? byId(place.slice(1)) : null;
    if (!row?.hidden) return;
    byId("filter").value = "";
    filter();
  };
  document.addEventListener("click", (event) => reveal(event.target.closest("a")?.getAttribute("href") ?? ""));
  addEventListener("hashchange", () => {
    reveal(location.hash);
    document.querySelector("tr:target")?.scrollIntoView({ block: "nearest" });
  });

  // What is said of a mark where one points or tabs.
  const tip = byId("tip");
  const show = (text, box) => {
    tip.textContent = text;
    tip.hidden = false;
    const left = Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${Math.max(8, left) + scrollX}px`;
    tip.style.top = `${(above > 0 ? above : box.bottom + 8) + scrollY}px`;
  };
  const hide = () => { tip.hidden = true; };
  for (const name of ["mouseover", "focusin"]) {
    document.addEventListener(name, (event) => {
      const mark = event.target.closest("[data-said]");
      if (mark) show(mark.dataset.said, mark.getBoundingClientRect());
      else if (!event.target.closest("#bars")) hide();
    });
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("focusout", hide);

  // Of many marks or cells one is reached by the tab key, and the others from there by arrows.
  const roving = (links, next) => {
    links.forEach((link, i) => link.setAttribute("tabindex", i ? -1 : 0));
    links.forEach((link) => link.addEventListener("keydown", (event) => {
      const to = event.key.startsWith("Arrow") && next(link, event.key);
      if (!to) return;
      links.forEach((other) => other.setAttribute("tabindex", other === to ? 0 : -1));
      to.focus();
      event.preventDefault();
    }));
  };
  const ahead = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  for (const table of document.querySelectorAll(".matrix")) {
    roving([...table.querySelectorAll("td a")], (link, key) => {
      const [down, right] = ahead[key], from = link.closest("td");
      let row = from.parentNode.rowIndex, column = from.cellIndex, to = null;
      while (!to && table.rows[(row += down)]?.cells[(column += right)]) to = table.rows[row].cells[column].querySelector("a");
      return to;
    });
  }
  for (const picture of document.querySelectorAll("svg.cost")) {
    const left = (mark) => mark.getBBox().x;
    const marks = [...picture.querySelectorAll(".mark")].sort((one, other) => left(one) - left(other));
    roving(marks, (mark, key) => marks[marks.indexOf(mark) + ahead[key][0] + ahead[key][1]]);
  }

  // Two systems, topic by topic; of one alone, its measure instead of a difference.
  const alone = data.systems.length < 2;
  const ranked = new Map(data.ranked.map((topic, place) => [topic, place]));
  const best = alone ? data.baseline : data.means.map((means, i) => [means[0], i]).filter(([, i]) => i !== data.baseline).sort((x, y) => y[0] - x[0])[0][1];
  const state = { a: best, b: data.baseline, m: 0, topic: null };
  let order = [], differences = [];
  const name = (i) => data.systems[i];
  const label = (topic) => `${data.topics[topic][0]} · ${data.topics[topic][1]}`;
  const place = () => {
    const query = data.topics[state.topic];
    const both = alone ? "" : `&a=${encodeURIComponent(name(state.a))}&b=${encodeURIComponent(name(state.b))}`;
    return `#topic=${encodeURIComponent(query[0])}${both}&m=${encodeURIComponent(data.measures[state.m])}`;
  };

  const tally = () => {
    if (alone) {
      const none = differences.filter((d) => d === 0).length;
      byId("tally").replaceChildren(
        isolated(name(state.a), "code"), ` has a mean ${data.measures[state.m]} of `, isolated(data.means[state.a][state.m].toFixed(4), "b"),
        "; it is 0 on ", isolated(`${none}`, "b"), ` of ${differences.length} topics.`,
      );
      return;
    }
    const wins = differences.filter((d) => d > 0).length;
    const losses = differences.filter((d) => d < 0).length;
    const mean = data.means[state.a][state.m] - data.means[state.b][state.m];
    const pair = data.pairs.find(([x, y]) => (x === state.a && y === state.b) || (x === state.b && y === state.a));
    const sign = pair?.[3] ? "≤" : "=";
    const least = pair?.[3] ? ", the least that the test can tell" : "";
    const p = state.m === 0 && pair ? `; p ${pair[2] < 0.0001 ? "< 0.0001" : `${sign} ${pair[2].toFixed(4)}`}${least}, Holm-corrected over all pairs` : "";
    byId("tally").replaceChildren(
      isolated(name(state.a), "code"), " is better on ", isolated(`${wins}`, "b"), ", ",
      isolated(name(state.b), "code"), " on ", isolated(`${losses}`, "b"), ", and they are level on ",
      isolated(`${differences.length - wins - losses}`, "b"), ` of ${differences.length} topics. Mean difference ${signed(mean)}${p}.`,
    );
  };

  const bar = (topic) => {
    if (alone) return `${label(topic)}\n${data.measures[state.m]} ${differences[topic].toFixed(4)}`;
    const [a, b] = [state.a, state.b].map((s) => data.values[state.m][s][topic].toFixed(4));
    return `${label(topic)}\n${name(state.a)} ${a}\n${name(state.b)} ${b}\ndifference ${signed(differences[topic])}`;
  };
  let at = 0;
  const bars = () => {
    const reach = [Math.max(...differences, 0), Math.max(...differences.map((d) => -d), 0)];
    const far = Math.max(...reach) || 1;
    const [up, down] = reach.map((end) => Math.max(end, alone ? 0 : far * 0.15) + far * 0.02);
    let step = 0.05;  // then 1, 2 and 5 times powers of ten, as some measures exceed 1
    for (let i = 0; (up + down) / step > 5; i++) step = Number(`${[1, 2, 5][i % 3]}e${Math.floor(i / 3) - 1}`);
    const count = order.length;
    const thick = count > 600 ? 1 : 0.8;
    const svg = make("svg", {
      viewBox: `0 ${-up} ${count} ${up + down}`, preserveAspectRatio: "none", role: "listbox", tabindex: "0",
      "aria-label": `Topics by ${alone ? "measure" : "difference"}; arrow keys move, Enter shows the rankings`,
    });
    const ticks = [];
    for (let tick = -Math.floor(down / step) * step; tick <= up; tick += step) {
      const y = Math.abs(tick) < 1e-9 ? 0 : tick;
      svg.append(make("line", { x1: 0, x2: count, y1: -y, y2: -y, class: y === 0 ? "zero" : null }));
      const text = y === 0 ? "0" : minus(`${y > 0 && !alone ? "+" : ""}${Number(y.toFixed(2))}`);
      ticks.push(make("span", { class: "tick" }, text));
      ticks.at(-1).style.top = `${((up - y) / (up + down)) * 100}%`;
    }
    order.forEach((topic, i) => {
      const d = differences[topic];
      const kind = d === 0 ? "tie" : d > 0 ? "a" : "b";
      const high = d === 0 ? far * 0.012 : Math.abs(d);
      const rect = make("rect", {
        x: i + (1 - thick) / 2, width: thick, y: d > 0 ? -d : d === 0 ? -high / 2 : 0, height: high, class: kind, id: `bar${topic}`,
        role: "option", "aria-label": bar(topic).replaceAll("\n", ", "), "aria-selected": topic === state.topic, "data-topic": topic,
      });
      svg.append(rect);
    });
    const ends = alone ? [] : [state.a, state.b].map((s, side) => make("span", { class: `end ${"ab"[side]}` }, isolated(name(s)), " better"));
    byId("bars").replaceChildren(svg, ...ticks, ...ends);
    const move = (i, told = true) => {
      svg.querySelector(".at")?.classList.remove("at");
      at = Math.max(0, Math.min(count - 1, i));
      const rect = byId(`bar${order[at]}`);
      rect.classList.add("at");
      svg.setAttribute("aria-activedescendant", rect.id);
      if (told) {
        const box = svg.getBoundingClientRect();
        const left = box.left + (at / count) * box.width;
        show(bar(order[at]), { left, top: box.top, bottom: box.bottom });
      }
    };
    const pointed = (event) => {
      const box = svg.getBoundingClientRect();
      return Math.floor(((event.clientX - box.left) / box.width) * count);
    };
    svg.addEventListener("mousemove", (event) => move(pointed(event)));
    svg.addEventListener("mouseleave", hide);
    const take = () => {
      choose({ topic: order[at] });
      byId("bars").querySelector("svg").focus();  // it is a new one, on which arrows go on
    };
    svg.addEventListener("click", (event) => { move(pointed(event)); take(); });
    svg.addEventListener("focus", () => move(Math.max(0, order.indexOf(state.topic))));
    svg.addEventListener("keydown", (event) => {
      const far = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -count, End: count }[event.key];
      if (far) { move(at + far); event.preventDefault(); }
      if (event.key === "Enter" || event.key === " ") {
        take();
        event.preventDefault();
      }
    });
  };

  const table = () => {
    const holder = byId("all-topics");
    if (!byId("all").open) return holder.replaceChildren();
    const head = make("tr");
    const figures = alone ? [[data.measures[state.m], 1]] : [["A", 1], ["B", 1], ["difference", 1]];
    for (const [text, numeric] of [["topic", 0], ["text", 0], ...figures]) {
      head.append(make("th", { scope: "col", class: numeric ? "number" : null }, text));
    }
    const body = make("tbody");
    for (const topic of order) {
      const [a, b] = [state.a, state.b].map((s) => data.values[state.m][s][topic]);
      const link = make("a", { href: place().replace(/topic=[^&]*/, `topic=${encodeURIComponent(data.topics[topic][0])}`) }, isolated(data.topics[topic][0]));
      const row = make("tr", {}, make("th", { scope: "row", "data-v": data.topics[topic][0] }, link), make("td", { class: "wrap" }, isolated(data.topics[topic][1])));
      for (const [figure, text] of [[a, a.toFixed(4)], [b, b.toFixed(4)], [differences[topic], signed(differences[topic])]].slice(0, figures.length)) {
        row.append(make("td", { class: "number", "data-v": figure }, text));
      }
      body.append(row);
    }
    const caption = make("caption", {}, alone ? "" : "A is ", isolated(name(state.a), "code"), ...(alone ? [] : [", B is ", isolated(name(state.b), "code")]));
    const found = make("table", {}, caption, make("thead", {}, head), body);
    holder.replaceChildren(make("div", { class: "scroll" }, found));
    sortable(found);
    narrowed();
  };
  const narrowed = () => {
    const text = (row) => `${row.cells[0].textContent} ${row.cells[1].textContent}`;
    narrow(byId("topics-filter"), byId("topics-count"), document.querySelectorAll("#all-topics tbody tr"), text, "topics");
  };

  const judged = (grade) => {
    if (grade === undefined) return ["unjudged", "·", "unjudged"];
    return grade > 0 ? ["relevant", "●", `relevant ${grade}`] : ["not", "○", "not relevant"];
  };
  const line = (rank, doc, grade, others) => {
    const [kind, sign, text] = judged(grade);
    const what = make("span", { class: "what" },
      make("span", { class: kind }, make("span", { "aria-hidden": "true" }, `${sign} `), text), isolated(data.docs[doc][0], "code"), ...others);
    const found = make("li", { class: `is-${kind}` }, make("span", { class: "rank" }, rank), what);
    if (data.docs[doc][1]) found.append(make("span", { class: "text", dir: "auto" }, data.docs[doc][1]));
    return found;
  };
  const rankings = () => {
    const holder = byId("rankings"), t = ranked.get(state.topic);
    if (t === undefined) return holder.replaceChildren(make("p", { class: "quiet" }, "The page holds no rankings of this topic."));
    const grades = new Map();
    for (let i = 0; i < data.grades[t].length; i += 2) grades.set(data.grades[t][i], data.grades[t][i + 1]);
    const sides = alone ? [state.a] : [state.a, state.b], lists = sides.map((s) => data.best[s][t]);
    const columns = sides.map((s, side) => {
      const list = make("ol", { class: "ranking" });
      lists[side].forEach((doc, i) => {
        const there = alone ? -1 : lists[1 - side].indexOf(doc);
        const far = alone ? 0 : data.ranks[sides[1 - side]][t][data.relevant[t].indexOf(doc)];
        const other = there >= 0 ? there + 1 : far > 0 ? far : 0;
        const told = other ? [make("span", { class: "other" }, `${"AB"[1 - side]}: rank ${other}`)] : [];
        list.append(line(`${i + 1}`, doc, grades.get(doc), told));
      });
      const right = lists[side].filter((doc) => grades.get(doc) > 0).length;
      const title = make("h4", {}, alone ? "" : `${"AB"[side]} · `, isolated(name(s), "code"), ` ${data.measures[state.m]} ${data.values[state.m][s][state.topic].toFixed(4)}`);
      const note = make("p", { class: "quiet" }, `${right} of ${data.count[t]} relevant documents in the best ${lists[side].length}`);
      return make("div", {}, title, note, lists[side].length ? list : make("p", {}, "retrieved nothing"));
    });
    const missed = data.relevant[t].map((doc, i) => [doc, i]).filter(([doc]) => !lists.some((list) => list.includes(doc)));
    const title = make("h3", {}, "Topic ", isolated(data.topics[state.topic][0]), ": ", isolated(data.topics[state.topic][1]));
    holder.replaceChildren(title, make("div", { class: "two" }, ...columns));
    if (missed.length) {
      const list = make("ol", { class: "ranking" });
      for (const [doc, i] of missed) {
        const told = sides.map((s, side) => `${alone ? "" : `${"AB"[side]}: `}${data.ranks[s][t][i] ? "rank " + data.ranks[s][t][i] : "not found"}`).join(", ");
        list.append(line("", doc, grades.get(doc), [make("span", { class: "other" }, told)]));
      }
      holder.append(make("details", {}, make("summary", {}, `${missed.length} relevant documents further down`), list));
    }
  };

  const controls = alone ? ["m", "topic"] : ["a", "b", "m", "topic"];
  const choose = (wanted, written = true) => {
    Object.assign(state, wanted);
    const values = data.values[state.m];
    differences = data.topics.map((_, t) => {
      const d = values[state.a][t] - (alone ? 0 : values[state.b][t]);
      return Math.abs(d) < 5e-7 ? 0 : d;
    });
    order = differences.map((_, t) => t).sort((x, y) => differences[y] - differences[x] || x - y);
    if (state.topic === null) state.topic = order.find((t) => ranked.has(t)) ?? order[0];
    for (const key of controls) byId(key).value = state[key];
    tally(); bars(); table(); rankings();
    byId(`bar${state.topic}`).classList.add("chosen");
    if (written) history.replaceState(null, "", place());
  };
  const follow = () => {
    const found = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
    if (!["topic", "a", "b", "m"].some((key) => found.has(key))) return false;
    const system = (text) => { const i = data.systems.indexOf(text); return i >= 0 ? i : /^\d+$/.test(text) && text < data.systems.length ? Number(text) : -1; };
    const wanted = {};
    for (const key of ["a", "b"]) if (found.has(key) && system(found.get(key)) >= 0) wanted[key] = system(found.get(key));
    const measure = data.measures.indexOf(found.get("m"));
    if (measure >= 0) wanted.m = measure;
    const topic = data.topics.findIndex(([id]) => id === found.get("topic"));
    if (topic >= 0) wanted.topic = topic;
    choose(wanted, false);
    (topic >= 0 ? byId("rankings") : byId("topics")).scrollIntoView();
    return true;
  };
  byId("topic").append(...data.topics.map((_, t) => make("option", { value: t }, label(t).slice(0, 120))));
  for (const key of controls) byId(key).addEventListener("change", () => choose({ [key]: Number(byId(key).value) }));
  byId("topics-filter").addEventListener("input", narrowed);
  byId("swap")?.addEventListener("click", () => choose({ a: state.b, b: state.a }));
  byId("all").addEventListener("toggle", table);
  addEventListener("hashchange", follow);
  if (!follow()) choose({}, false);
})();
