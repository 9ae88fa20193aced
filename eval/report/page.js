"use strict";
// Shows the report in #data. Model text is hostile: everything reaches the page through textContent, nothing as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { report, page } = data;
  const runs = report.runs, two = runs.length === 2, CHUNK = 100;
  const byId = (id) => document.getElementById(id);

  // ---- building blocks
  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") node.textContent = visible(value);
      else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }
  // Control and direction signs are shown as what they are: they could hide or reorder the text around them.
  function visible(value) {
    return String(value).replace(/[\u0000-\u0008\u000b-\u001f\u007f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, (sign) => {
      const code = sign.codePointAt(0);
      return code < 32 ? (code === 13 ? "" : String.fromCodePoint(0x2400 + code)) : `⟦U+${code.toString(16).toUpperCase().padStart(4, "0")}⟧`;
    });
  }
  const known = (value) => value !== null && value !== undefined;
  const percent = (value) => known(value) ? `${(100 * value).toFixed(1)} %` : "–";
  const signed = (value) => known(value) ? `${value > 0 ? "+" : ""}${value.toFixed(1)}` : "–";
  const number = (value, digits = 0) => known(value) ? value.toLocaleString("en", { maximumFractionDigits: digits }) : "–";
  function interval(row) {
    return known(row.ci_low) ? `${percent(row.accuracy ?? row.value)} [${(100 * row.ci_low).toFixed(1)}, ${(100 * row.ci_high).toFixed(1)}]` : percent(row.accuracy ?? row.value);
  }
  function table(heads, rows) {
    const cells = (row) => row.map((cell, i) => el(i ? "td" : "th", { class: i ? "number" : null, scope: i ? null : "row", text: cell }));
    return el("table", {},
      el("thead", {}, el("tr", {}, ...heads.map((head, i) => el("th", { scope: "col", class: i ? "number" : null, text: head })))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row)))));
  }
  const card = (title, ...children) => el("div", { class: "card" }, el("h3", { text: title }), ...children);

  // ---- figures
  function showTop() {
    const title = runs.map((run) => run.label).join(" → ");
    document.title = `${visible(title)}: benchmark report`;
    byId("top").append(el("h1", { text: title }), el("p", { class: "soft", text: `made ${report.created}` }));
    if (report.comparison) byId("top").append(el("p", { class: "sentence", text: report.comparison.sentence }));
    for (const note of page.notices) byId("top").append(el("p", { class: "notice", text: note }));
  }
  function figureRows() {
    const rows = [["accuracy", interval]];
    const plain = [["attempts", "num_attempts"], ["problems", "num_problems"], ["right", "num_correct"], ["graded", "num_graded"]];
    for (const [name, key] of plain) rows.push([name, (m) => number(m[key])]);
    for (const [name, key] of [["answer in form", "format_rate"], ["cut off", "truncation_rate"], ["no answer", "no_answer_rate"]])
      if (known(runs[0].measures[key])) rows.push([name, (m) => percent(m[key])]);
    rows.push(["mean tokens", (m) => number(m.mean_tokens, 1)]);
    for (const [name, key] of [["pass@", "pass_at_k"], ["majority@", "maj_at_k"]])
      for (const k of [...new Set(runs.flatMap((run) => Object.keys(run.measures[key] ?? {})))].sort((a, b) => a - b))
        if (k !== "1") rows.push([name + k, (m) => m[key]?.[k] ? interval(m[key][k]) : "–"]);
    for (const outcome of Object.keys(runs[0].measures.outcomes))
      if (runs.some((run) => run.measures.outcomes[outcome])) rows.push([`outcome ${outcome}`, (m) => number(m.outcomes[outcome])]);
    return rows.map(([name, show]) => [name, ...runs.map((run) => show(run.measures))]);
  }
  function showGroups(grid) {
    for (const [name, groups] of Object.entries(runs[0].measures.by ?? {})) {
      const rows = Object.entries(groups).map(([value, row]) => {
        const cells = [value, number(row.num_problems), ...runs.map((run) => run.measures.by?.[name]?.[value] ? interval(run.measures.by[name][value]) : "–")];
        const difference = report.comparison?.by?.[name]?.[value];
        return two ? [...cells, difference ? `${signed(difference.difference)} (p ${difference.p_value.toPrecision(2)})` : "–"] : cells;
      });
      grid.append(card(`By ${name}`, table([name, "problems", ...sideNames("accuracy"), ...(two ? ["points"] : [])], rows)));
    }
  }
  const sideNames = (single) => two ? runs.map((run) => run.label) : [single];
  function showOverlap(grid) {
    runs.forEach((run) => {
      if (!run.overlap) return;
      const part = (name, row) => [name, row ? number(row.num_problems) : "0", row ? interval(row) : "–"];
      const o = run.overlap;
      grid.append(card(`Overlap with ${o.train_data}${two ? `: ${run.label}` : ""}`,
        table(["part", "problems", "accuracy"], [part("clean", o.clean), part("overlapping", o.overlapping)]),
        el("p", { class: "soft", text: `${o.num_exact} exact copies; ${o.num_ngram} problems with at least ${100 * o.min_share} % of their ${o.ngram}-grams in the training questions; ${o.num_short} too short for the second rule` })));
    });
  }
  function showAttribution(grid) {
    const parts = report.comparison?.attribution;
    if (parts) grid.append(card("What the difference is made of", table(["part", "points"], Object.entries(parts).map(([name, value]) => [name, signed(value)]))));
  }
  function showFacts(grid) {
    runs.forEach((run) => {
      const list = el("dl");
      for (const [name, value] of Object.entries({ ...run.conditions, ...run.facts }))
        list.append(el("dt", { text: name }), el("dd", { text: typeof value === "object" ? JSON.stringify(value) : value }));
      grid.append(el("details", { class: "card" }, el("summary", { text: `How it was made${two ? `: ${run.label}` : ""}` }), list));
    });
  }
  function showFigures() {
    const grid = el("div", { class: "grid" });
    byId("figures").append(grid);
    grid.append(card("Measures, with 95 % intervals", table(["", ...sideNames("")], figureRows())));
    if (runs.every((run) => run.budget_curve.length > 1)) grid.append(budgetCard());
    showGroups(grid);
    showAttribution(grid);
    showOverlap(grid);
    const last = el("div", { class: "grid" });
    byId("figures").append(last);
    showFacts(last);
  }

  // ---- the token-budget curve
  function svg(tag, attributes, text = "") {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.textContent = text;
    return node;
  }
  function budgetCard() {
    const W = 460, H = 230, left = 42, right = 14, top = 10, bottom = 34;
    const most = Math.max(...runs.map((run) => run.budget_curve.at(-1).tokens), 1);
    const x = (tokens) => left + (W - left - right) * tokens / most, y = (share) => top + (H - top - bottom) * (1 - share);
    const chart = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Accuracy by token budget" });
    for (const share of [0, .25, .5, .75, 1])
      chart.append(svg("line", { class: "axis", x1: left, x2: W - right, y1: y(share), y2: y(share) }), svg("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share} %`));
    for (const part of [0, .25, .5, .75, 1])
      chart.append(svg("text", { x: x(part * most), y: H - 16, "text-anchor": part === 1 ? "end" : "middle" }, number(part * most)));
    chart.append(svg("text", { x: (W + left) / 2, y: H - 2, "text-anchor": "middle" }, "tokens allowed"));
    runs.forEach((run, i) => {
      const points = run.budget_curve.filter((point) => known(point.ci_low));
      const at = (key) => points.map((point) => `${x(point.tokens).toFixed(1)},${y(point[key]).toFixed(1)}`);
      if (points.length) chart.append(svg("polygon", { class: `band${i}`, points: [...at("ci_low"), ...at("ci_high").reverse()].join(" ") }), svg("polyline", { class: `run${i}`, points: at("accuracy").join(" ") }));
    });
    const rows = runs[0].budget_curve.map((point, i) => [number(point.tokens), ...runs.map((run) => interval(run.budget_curve[i])), ...runs.map((run) => percent(run.budget_curve[i].share_fitting))]);
    const heads = ["tokens", ...sideNames("accuracy"), ...(two ? ["fit, first", "fit, second"] : ["fit"])];
    return card("Accuracy if cut at a token budget", ...(two ? [el("p", {}, ...runs.map((run, i) => el("span", { class: `key${i}`, text: `${run.label}  ` })))] : []), chart,
      el("p", { class: "soft", text: "An attempt is right at a budget only if its whole completion fits. Bands are 95 % intervals." }),
      el("details", {}, el("summary", { text: "as a table" }), table(heads, rows)));
  }

  // ---- entries: one per problem and sample, with the attempt of each run
  const problems = new Map(page.problems.map((problem) => [problem.id, problem]));
  const entries = [];
  function collect() {
    const found = new Map();
    page.attempts.forEach((attempts, side) => attempts.forEach((attempt) => {
      const key = JSON.stringify([attempt.problem_id, attempt.sample]);
      if (!found.has(key)) {
        const entry = { problem: problems.get(attempt.problem_id), sample: attempt.sample, sides: runs.map(() => null), order: found.size };
        found.set(key, entry);
        entries.push(entry);
      }
      found.get(key).sides[side] = attempt;
    }));
    for (const entry of entries) entry.change = change(entry);
  }
  function change(entry) {
    const [a, b] = entry.sides;
    if (!two || !a || !b || a.outcome === "ungradable" || b.outcome === "ungradable") return 0;
    return (b.outcome === "pass") - (a.outcome === "pass");
  }
  const tokens = (entry) => Math.max(...entry.sides.map((side) => side?.num_tokens ?? -1));
  const textOf = (segments) => segments.map((segment) => segment[1]).join("");
  function haystack(entry) { // built when first searched: most pages are never searched
    if (!entry.words) entry.words = [entry.problem.id, entry.problem.question, entry.problem.gold, ...entry.sides.filter(Boolean).flatMap((side) => [side.extracted ?? "", side.detail, textOf(side.segments)])].join("\n").toLowerCase();
    return entry.words;
  }

  // ---- filters
  const controls = {};
  function choose(name, label, options) {
    controls[name] = el("select", { name }, ...options.map(([value, text]) => el("option", { value, text })));
    byId("filters").append(el("label", {}, document.createTextNode(label), controls[name]));
  }
  function showFilters() {
    controls.search = el("input", { type: "search", name: "search", autocomplete: "off", spellcheck: "false" });
    byId("filters").append(el("label", {}, document.createTextNode("Search in texts"), controls.search));
    const outcomes = [...new Set(entries.flatMap((entry) => entry.sides.filter(Boolean).map((side) => side.outcome)))].sort();
    const any = [["", "any"]];
    if (two) choose("change", "Change", [...any, ["flipped", "flipped"], ["-1", "lost: right → wrong"], ["1", "won: wrong → right"], ["0", "same"]]);
    runs.forEach((run, i) => choose(`outcome${i}`, two ? `Outcome ${i ? "second" : "first"}` : "Outcome", [...any, ["not pass", "not right"], ...outcomes.map((outcome) => [outcome, outcome])]));
    for (const group of page.groups) choose(`group:${group}`, group, [...any, ...[...new Set(page.problems.map((problem) => problem.groups[group]).filter(known))].sort((a, b) => a.localeCompare(b, "en", { numeric: true })).map((value) => [`=${value}`, value])]);
    choose("sort", "Sort", [...(two ? [["change", "flips first"]] : []), ["order", "as asked"], ["long", "longest first"], ["short", "shortest first"], ["wrong", "wrong first"]]);
    controls.truncated = el("input", { type: "checkbox", name: "truncated" });
    byId("filters").append(el("label", { class: "check" }, controls.truncated, document.createTextNode("cut off")));
    if (page.overlapping) {
      controls.overlap = el("input", { type: "checkbox", name: "overlap" });
      byId("filters").append(el("label", { class: "check" }, controls.overlap, document.createTextNode("overlaps training data")));
    }
    let timer = 0;
    byId("filters").addEventListener("input", (event) => { clearTimeout(timer); timer = setTimeout(refresh, event.target === controls.search ? 150 : 0); });
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
  }
  const overlapping = new Set(page.overlapping ?? []);
  function wanted(entry) {
    const needle = controls.search.value.toLowerCase();
    if (two && controls.change.value && !(controls.change.value === "flipped" ? entry.change : String(entry.change) === controls.change.value)) return false;
    for (let i = 0; i < runs.length; i++) {
      const value = controls[`outcome${i}`].value, outcome = entry.sides[i]?.outcome;
      if (value && (value === "not pass" ? outcome === "pass" || !outcome : outcome !== value)) return false;
    }
    for (const group of page.groups) {
      const value = controls[`group:${group}`].value;
      if (value && `=${entry.problem.groups[group]}` !== value) return false;
    }
    if (controls.truncated.checked && !entry.sides.some((side) => side?.truncated)) return false;
    if (controls.overlap?.checked && !overlapping.has(entry.problem.id)) return false;
    return !needle || haystack(entry).includes(needle);
  }
  const flipOrder = (entry) => entry.change === -1 ? 0 : entry.change === 1 ? 1 : 2;
  const wrong = (entry) => entry.sides.some((side) => side && side.outcome !== "pass") ? 0 : 1;
  const orders = {
    change: (a, b) => flipOrder(a) - flipOrder(b), order: () => 0,
    long: (a, b) => tokens(b) - tokens(a), short: (a, b) => tokens(a) - tokens(b), wrong: (a, b) => wrong(a) - wrong(b),
  };

  // ---- the list, filled as it is scrolled
  let shown = [], numDrawn = 0, chosen = -1;
  function refresh() {
    const order = orders[controls.sort.value];
    shown = entries.filter(wanted).sort((a, b) => order(a, b) || a.order - b.order);
    numDrawn = 0; chosen = -1;
    byId("rows").replaceChildren();
    byId("rows").removeAttribute("aria-activedescendant");
    byId("listing").scrollTop = 0;
    byId("status").textContent = `${number(shown.length)} of ${number(entries.length)} ${two ? "pairs of attempts" : "attempts"}`;
    draw();
    if (shown.length && !narrow()) select(0, false);
    else byId("detail").replaceChildren(el("p", { class: "soft", text: shown.length ? "" : "Nothing matches these filters." }));
  }
  function draw() {
    const until = Math.min(shown.length, numDrawn + CHUNK), fragment = document.createDocumentFragment();
    for (; numDrawn < until; numDrawn++) fragment.append(row(shown[numDrawn], numDrawn));
    byId("rows").append(fragment);
    byId("more").hidden = numDrawn >= shown.length;
  }
  function outcomeMark(side) {
    if (!side) return el("span", { class: "soft", text: "not there" });
    const sign = side.outcome === "pass" ? "✓" : side.outcome === "ungradable" ? "?" : "✗";
    return el("span", { class: `outcome ${side.outcome}`, text: `${sign} ${side.outcome}${side.truncated ? ", cut off" : ""}` });
  }
  const flipText = (entry) => entry.change === -1 ? "lost" : entry.change === 1 ? "won" : "";
  function row(entry, index) {
    const answers = entry.sides.map((side) => side?.extracted ?? "–").join(" → ");
    const samples = page.has_samples ? ` #${entry.sample}` : "";
    return el("li", { role: "option", id: `row${index}`, "data-index": index, "aria-selected": "false" },
      el("div", { class: "head" }, el("span", { class: "id", text: entry.problem.id + samples }), el("span", {}, ...entry.sides.flatMap((side, i) => i ? [document.createTextNode(" → "), outcomeMark(side)] : [outcomeMark(side)]))),
      el("div", { class: "hint", text: `${flipText(entry) ? `${flipText(entry)}: ` : ""}${answers.slice(0, 80)} (gold ${entry.problem.gold.slice(0, 40)})` }));
  }
  const narrow = () => matchMedia("(max-width: 52rem)").matches;
  function select(index, open) {
    if (index < 0 || index >= shown.length) return;
    while (numDrawn <= index) draw();
    byId(`row${chosen}`)?.setAttribute("aria-selected", "false");
    chosen = index;
    const node = byId(`row${index}`);
    node.setAttribute("aria-selected", "true");
    byId("rows").setAttribute("aria-activedescendant", node.id);
    if (open) node.scrollIntoView({ block: "nearest" });
    showDetail(shown[index]);
    if (open && narrow()) { document.body.classList.add("open"); byId("detail").focus(); scrollTo(0, 0); }
  }
  function close() {
    document.body.classList.remove("open");
    byId("rows").focus();
    byId(`row${chosen}`)?.scrollIntoView({ block: "nearest" });
  }

  // ---- one attempt
  function showDetail(entry) {
    const { problem } = entry, back = el("button", { type: "button", class: "back", text: "← Back to the list" });
    back.addEventListener("click", close);
    const facts = el("dl", {}, el("dt", { text: "gold" }), el("dd", { text: problem.gold }));
    for (const group of page.groups) if (known(problem.groups[group])) facts.append(el("dt", { text: group }), el("dd", { text: problem.groups[group] }));
    if (page.overlapping) facts.append(el("dt", { text: "training data" }), el("dd", { text: overlapping.has(problem.id) ? "overlaps" : "no overlap found" }));
    const samples = page.has_samples ? `, sample ${entry.sample}` : "";
    const first = card(problem.id + samples, problem.question ? el("pre", { text: problem.question }) : el("p", { class: "soft", text: "The run does not hold the question." }), facts);
    byId("detail").className = two ? "two" : "";
    byId("detail").replaceChildren(back, first, el("div", { class: "sides" }, ...entry.sides.map((side, i) => sideCard(entry, side, i))));
  }
  function sideCard(entry, side, i) {
    const name = two ? runs[i].label : "Attempt";
    if (!side) return card(name, el("p", { class: "soft", text: "This run has no such attempt." }));
    const list = el("dl", {}, el("dt", { text: "outcome" }), el("dd", {}, outcomeMark(side)));
    const rows = [["answer read", side.extracted ?? "none"], ["where", side.place], ["decided by", side.stage], ["why", side.detail], ["score", side.score], ["tokens", side.num_tokens]];
    for (const [term, value] of rows) if (known(value) && value !== "") list.append(el("dt", { text: term }), el("dd", { text: value }));
    const prompt = page.prompts[i]?.[entry.problem.id] ?? page.prompts[0]?.[entry.problem.id];
    return card(name, list,
      known(prompt) ? el("details", {}, el("summary", { text: "Prompt, as the model saw it" }), el("pre", { text: prompt })) : null,
      el("h3", { text: "Completion" }),
      el("pre", {}, ...side.segments.map(([kind, text]) => el("span", { class: kind || null, title: { think: "thought", answer: "answer" }[kind] ?? null, text }))),
      side.truncated ? el("p", { class: "flag", text: "Cut off: the limit came before the end." }) : null);
  }

  // ---- keys
  function onKey(event) {
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
    if (event.key === "Escape") { if (typing) event.target.blur(); close(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const inList = event.target === byId("rows");
    const step = { j: 1, k: -1, ...(inList ? { ArrowDown: 1, ArrowUp: -1 } : {}) }[event.key];
    if (step) { event.preventDefault(); select(Math.max(0, chosen + step), true); }
    else if (event.key === "/") { event.preventDefault(); controls.search.focus(); }
    else if (inList && event.key === "Home") { event.preventDefault(); select(0, true); }
    else if (inList && event.key === "Enter") { if (chosen < 0) select(0, true); else select(chosen, true); byId("detail").focus({ preventScroll: !narrow() }); }
  }
  byId("rows").addEventListener("click", (event) => {
    const item = event.target.closest("li");
    if (item) select(Number(item.dataset.index), true);
  });
  byId("more").addEventListener("click", draw);
  new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) draw(); }, { rootMargin: "400px" }).observe(byId("more"));
  document.addEventListener("keydown", onKey);

  collect();
  showTop();
  showFigures();
  showFilters();
  refresh();
})();
