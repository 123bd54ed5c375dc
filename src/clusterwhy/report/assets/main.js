// Connects the views: controls, keys, exports.

const MOST_IN_LEGEND = 30; // names

function download(name, text, kind) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

// a CSV cell that no spreadsheet interprets as a formula
function csvCell(value) {
  const text = String(value);
  const safe = /^[=+\-@\t\r]/.test(text) && typeof value === "string" ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

function asCsv(data, windows) {
  const relevance = data.about.channels.map((name) => `relevance of ${name}`); // shares of |relevance|; empty where not explained
  const { dated } = data;
  const head = ["window", ...(dated ? ["start", "stop"] : []), "start_sample", "stop_sample", "start_s", "stop_s", "cluster", "cluster_name", "strength", "score", ...(data.group ? ["recording"] : []), ...(data.label ? ["label"] : []), "explained_cluster", ...relevance];
  const explained = (w) => {
    const found = data.relevance(w, "explained");
    return found ? [found.cluster, ...data.about.channels.map((_, c) => found.channel(c))] : ["", ...relevance.map(() => "")];
  };
  const rows = windows.map((w) => [
    w, ...(dated ? [data.formatTime(data.startTime(w)), data.formatTime(data.stopTime(w))] : []), data.start[w], data.start[w] + data.length, data.startTime(w) * data.about.clock.seconds, data.stopTime(w) * data.about.clock.seconds, data.cluster[w], data.clusterName(data.cluster[w]), data.strength[w], data.score[w],
    ...(data.group ? [data.about.group_names[data.group[w]]] : []), ...(data.label ? [data.about.label_names[data.label[w]]] : []), ...explained(w),
  ]);
  return [head, ...rows].map((row) => row.map(csvCell).join(",")).join("\n") + "\n";
}

function addOptions(select, data) {
  const add = (value, text, group = select) => { const option = document.createElement("option"); option.value = value; option.textContent = text; group.append(option); };
  const names = { cluster: "cluster", score: "anomaly score", time: "time", ...(data.label ? { label: "label" } : {}), ...(data.group ? { recording: "recording" } : {}) };
  for (const [name, text] of Object.entries(names)) add(name, text);
  for (const [what, title] of data.about.arrays.mean ? [["mean", "mean of a channel"], ["deviation", "deviation of a channel"]] : []) {
    const group = document.createElement("optgroup");
    group.label = title;
    data.about.channels.forEach((name, channel) => add(`${what}:${channel}`, `${what} of ${Array.from(name).slice(0, 60).join("")}`, group));
    select.append(group);
  }
}

// buttons that show and hide clusters or channels
function addToggles(root, entries, state, name) {
  const draw = () => {
    const hidden = new Set(state.values[name]);
    for (const button of root.children) button.setAttribute("aria-pressed", String(!hidden.has(Number(button.value))));
  };
  for (const { value, text, colour, named } of entries) {
    const button = chip(named ? "" : text, {});
    if (named) { const span = document.createElement("span"); Object.assign(span.dataset, { named: value, noun: "cluster" }); button.append(span); }
    button.value = value;
    if (colour) { const dot = document.createElement("span"); dot.className = "dot"; dot.style.background = colour; button.prepend(dot); }
    button.addEventListener("click", () => {
      const hidden = new Set(state.values[name]);
      if (!hidden.delete(value)) hidden.add(value);
      state.set({ [name]: [...hidden] });
    });
    root.append(button);
  }
  state.listen([name], draw);
  draw();
}

// size and opacity of the points of the projection
function addPoints(root, state) {
  const usual = root.querySelector("button"), sliders = [...root.querySelectorAll("input")];
  for (const slider of sliders) {
    [slider.min, slider.max] = POINTS[slider.name];
    slider.addEventListener("input", () => state.set({ [slider.name]: Number(slider.value) }));
  }
  const draw = () => {
    const { size, opacity } = state.values, [sizes, opacities] = sliders;
    sizes.value = size ?? 6;
    opacities.value = opacity;
    sizes.parentElement.querySelector("output").textContent = size === null ? "by their number" : `${size} px`;
    opacities.parentElement.querySelector("output").textContent = `${Math.round(100 * opacity)} %`;
    usual.disabled = size === null && opacity === 1;
  };
  usual.addEventListener("click", () => state.set({ size: null, opacity: 1 }));
  state.listen(["size", "opacity"], draw);
  draw();
}

function addChannelSwitches(data, state) {
  const [all, none] = ["all_channels", "no_channels"].map((id) => document.getElementById(id));
  const draw = () => {
    all.disabled = !state.values.hiddenChannels.length;
    none.disabled = !state.channels().length;
  };
  all.addEventListener("click", () => state.set({ hiddenChannels: [] }));
  none.addEventListener("click", () => state.set({ hiddenChannels: [...data.about.channels.keys()] }));
  state.listen(["hiddenChannels"], draw);
  draw();
}

// legend of the colours of labels or recordings
function addLegend(root, what, names) {
  const entries = names.slice(0, MOST_IN_LEGEND).map((name, code) => {
    const entry = document.createElement("span"), dot = document.createElement("span");
    dot.className = "dot";
    dot.style.background = labelColour(code);
    entry.append(dot, Array.from(name).slice(0, 40).join(""), " ");
    return entry;
  });
  const more = names.length - entries.length, repeated = names.length > LABEL_COLOURS.length ? `; ${LABEL_COLOURS.length} colours repeat` : "";
  if (entries.length) root.append(`${what}: `, ...entries, more ? `and ${more} more` : "", repeated);
}

function addThreshold(root, data, state) {
  const slider = root.querySelector("input"), words = root.querySelector("output"), list = document.getElementById("segments");
  let low = data.about.threshold, high = data.about.threshold;
  for (const score of data.score) if (Number.isFinite(score)) { low = Math.min(low, score); high = Math.max(high, score); }
  Object.assign(slider, { min: low, max: high, step: (high - low) / 1000 || 1 });
  const draw = () => {
    const { threshold } = state.values, found = data.segments(threshold), n = found.reduce((total, one) => total + one.windows, 0);
    slider.value = threshold;
    words.textContent = `${number(threshold, 4)}: ${count(n, "window")} in ${count(found.length, "segment")} above${threshold === data.about.threshold ? " (of the study)" : ""}`;
    list.replaceChildren(...found.slice(0, 12).map((one) => chip(`${data.formatRange(data.time(one.start), data.time(one.start) + data.span(one.stop - one.start))}, peak ${number(one.score)}`, { window: one.peak })));
  };
  slider.addEventListener("input", () => state.set({ threshold: Number(slider.value) }));
  state.listen(["threshold"], draw);
  draw();
}

function addKeys(data, state) {
  const move = (by) => {
    const now = state.values.window;
    state.set({ window: now === null ? 0 : Math.min(data.nWindows - 1, Math.max(0, now + by)) });
  };
  const keys = {
    ArrowRight: () => move(1), ArrowLeft: () => move(-1), PageDown: () => move(10), PageUp: () => move(-10),
    Escape: () => state.set({ selected: [], window: null }), p: () => state.set({ path: !state.values.path }),
    "?": () => document.getElementById("help").toggleAttribute("open"),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    // PageUp and PageDown scroll the page unless a view has the focus
    if (event.key.startsWith("Page") && !event.target.closest("#explore")) return;
    const run = keys[event.key];
    if (run) { event.preventDefault(); run(); }
  });
}

// scrolls to a part of the page, without changing the address, which stores the view
function jumpTo(id) {
  const target = document.getElementById(id);
  if (!target) return;
  for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  target.scrollIntoView({ behavior: "smooth" });
}

function dress(theme) {
  const dark = theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

async function main() {
  const [data] = await Promise.all([Data.load(), startPlotly()]), state = new State(data);
  const served = JSON.parse(document.getElementById("served")?.textContent || "null");
  if (served?.named) data.about.named = served.named;
  const element = (id) => document.getElementById(id);
  dress(state.values.theme);
  state.listen(["theme"], (now) => dress(now.theme));
  const views = [
    new ProjectionView(element("projection"), data, state), new SeriesView(element("series"), data, state),
    new WindowView(element("window"), data, state), new SelectionView(element("selection"), data, state),
  ];
  document.addEventListener("hover", ({ detail }) => {
    for (const view of views.slice(0, 2)) view.hovered = detail;
    views[0].ring();
    views[1].show();
  });

  const colour = element("colour");
  addOptions(colour, data);
  const reflect = () => {
    const now = state.values;
    colour.value = now.colour;
    element("path").setAttribute("aria-pressed", String(now.path));
    element("contrast").value = now.contrast;
    element("kept").textContent = now.other.length ? `B: ${count(now.other.length, "window")}` : "";
    for (const id of ["csv", "json", "keep", "clear"]) element(id).disabled = !now.selected.length;
  };
  state.listen(["colour", "path", "contrast", "other", "selected"], reflect);
  colour.addEventListener("change", () => state.set({ colour: colour.value }));
  element("path").addEventListener("click", () => state.set({ path: !state.values.path }));
  element("theme").addEventListener("click", () => state.set({ theme: document.documentElement.dataset.theme === "dark" ? "light" : "dark" }));
  element("contrast").addEventListener("change", (event) => state.set({ contrast: event.target.value }));
  element("keep").addEventListener("click", () => state.set({ other: state.values.selected, contrast: "other" }));
  element("clear").addEventListener("click", () => state.set({ selected: [] }));
  element("csv").addEventListener("click", () => download("windows.csv", asCsv(data, state.values.selected), "text/csv"));
  element("json").addEventListener("click", () => download("windows.json", JSON.stringify({ name: data.about.name, windows: state.values.selected }), "application/json"));
  const clusters = data.cluster.includes(-1) ? [-1, ...data.about.clusters.map((one) => one.cluster)] : data.about.clusters.map((one) => one.cluster);
  addToggles(element("clusters"), clusters.map((c) => ({ value: c, text: data.clusterName(c), colour: data.colour(c), named: c >= 0 })), state, "hiddenClusters");
  addToggles(element("channels"), data.about.channels.map((_, c) => ({ value: c, text: data.channelName(c) })), state, "hiddenChannels");
  addThreshold(element("threshold"), data, state);
  if (served?.trials) new Trials(data, state, views.slice(0, 2), served.trials);
  new Naming(data, views, served).offerSegment(element("remark"), state);
  const scores = new ScoresView(element("scores"), data, state);
  addPoints(element("points"), state);
  addChannelSwitches(data, state);
  addLegend(element("labels"), "labels", data.about.label_names);
  addLegend(element("recording_names"), "recordings", data.about.group_names);
  window.addEventListener("hashchange", () => { if (location.hash.slice(1) !== state.text()) location.reload(); });
  reflect();
  // the views replace the overview image; the first two are shown while the arrays of the others are decoded
  const show = (some) => {
    for (const view of some) view.draw();
    if (document.documentElement.dataset.drawn) return;
    element("provenance").querySelector("h2").after(element("overview"));
    document.documentElement.dataset.drawn = Math.round(performance.now());
  };
  const early = state.values.window === null ? 2 : 0;
  if (early) show(views.slice(0, early));
  await data.read(1);
  show(views.slice(early));
  data.startBackground();
  addKeys(data, state);
  document.addEventListener("click", (event) => {
    const jump = event.target.closest("[data-jump]");
    if (jump) { event.preventDefault(); jumpTo(jump.hash.slice(1)); return; }
    const button = event.target.closest("[data-window], [data-cluster], [data-recording], [data-event], [data-segment]");
    if (!button) return;
    if (button.dataset.window !== undefined) state.set({ window: Number(button.dataset.window), why: button.dataset.why || "cluster" });
    else if (button.dataset.event !== undefined) state.set({ selected: windowsIn(data, data.about.events.filter(([, , name]) => name === button.dataset.event)) });
    else if (button.dataset.segment !== undefined) state.set({ selected: windowsIn(data, [data.about.named.segments[Number(button.dataset.segment)]]) });
    else {
      const [codes, code] = button.dataset.cluster === undefined ? [data.group, data.about.group_names.indexOf(button.dataset.recording)] : [data.cluster, Number(button.dataset.cluster)];
      state.set({ selected: Array.from(codes.keys()).filter((w) => codes[w] === code) });
    }
    if (!button.closest("#explore")) element("explore").scrollIntoView({ behavior: "smooth" });
  });
  element("explore").removeAttribute("aria-busy");
  document.documentElement.dataset.ready = Math.round(performance.now());
  setTimeout(() => scores.draw()); // once the views answer
}

main().catch((error) => {
  const note = document.getElementById("failed");
  note.hidden = false;
  note.textContent = `The views could not be drawn: ${error.message}. The rest of the page works without them; a current browser is needed.`;
  throw error;
});
