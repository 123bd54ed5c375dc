// The state of the views, stored in the fragment of the address, so that a view can be shared as a link.

const POINTS = { size: [1, 16], opacity: [0.05, 1] }; // least and most

class State {
  constructor(data) {
    this.data = data;
    this.listeners = [];
    this.values = {
      colour: "cluster", // cluster | score | time | label | recording | mean:CHANNEL | deviation:CHANNEL
      size: null, // of points, in pixels; null: smaller the more there are
      opacity: 1, // of points
      window: null, // the inspected window
      why: "cluster", // cluster | anomaly: what is explained of a window for which both are known
      selected: [], // windows
      other: [], // selection B, kept for comparison
      contrast: "none", // none | rest | other: what is subtracted from the selection
      threshold: data.about.threshold,
      range: null, // [from, to] in the time unit of the page
      hiddenClusters: [],
      hiddenChannels: [],
      path: false,
      theme: "auto", // auto | light | dark
    };
    Object.assign(this.values, this.parse(location.hash));
  }

  // the visible channels
  channels() {
    const hidden = new Set(this.values.hiddenChannels);
    return this.data.about.channels.map((_, channel) => channel).filter((channel) => !hidden.has(channel));
  }

  listen(names, listener) { this.listeners.push({ names, listener }); }

  set(changes) {
    Object.assign(this.values, changes);
    const changed = Object.keys(changes);
    for (const { names, listener } of this.listeners) {
      if (names.some((name) => changed.includes(name))) listener(this.values, changed);
    }
    // in a frame that has no address of its own, such as a panel of W&B, no link can be shared
    if (location.protocol !== "about:") history.replaceState(null, "", `#${this.text()}`);
  }

  text() {
    const now = this.values, parts = new URLSearchParams();
    if (now.colour !== "cluster") parts.set("colour", now.colour);
    if (now.size !== null) parts.set("size", now.size);
    if (now.opacity !== 1) parts.set("opacity", now.opacity);
    if (now.window !== null) parts.set("window", now.window);
    if (now.why !== "cluster") parts.set("why", now.why);
    for (const name of ["selected", "other", "hiddenClusters", "hiddenChannels"]) {
      if (now[name].length) parts.set(name, runs(now[name]));
    }
    if (now.contrast !== "none") parts.set("contrast", now.contrast);
    if (now.threshold !== this.data.about.threshold) parts.set("threshold", now.threshold);
    if (now.range) parts.set("range", now.range.map((x) => Number(x.toPrecision(9))).join("~"));
    if (now.path) parts.set("path", "1");
    if (now.theme !== "auto") parts.set("theme", now.theme);
    return parts.toString();
  }

  // invalid values in an address are ignored
  parse(hash) {
    const parts = new URLSearchParams(hash.replace(/^#/, "")), found = {};
    const has = (n) => (i) => Number.isInteger(i) && i >= 0 && i < n;
    const isWindow = has(this.data.nWindows), isChannel = has(this.data.nChannels);
    const colour = parts.get("colour");
    if (colour && isColour(colour, this.data)) found.colour = colour;
    for (const [name, [low, high]] of Object.entries(POINTS)) {
      const given = Number(parts.get(name));
      if (parts.has(name) && given >= low && given <= high) found[name] = given;
    }
    if (parts.has("window") && isWindow(Number(parts.get("window")))) found.window = Number(parts.get("window"));
    if (parts.get("why") === "anomaly") found.why = "anomaly";
    for (const name of ["selected", "other"]) if (parts.has(name)) found[name] = unruns(parts.get(name)).filter(isWindow);
    const nClusters = this.data.about.clusters.length;
    if (parts.has("hiddenClusters")) found.hiddenClusters = unruns(parts.get("hiddenClusters")).filter((c) => c >= -1 && c < nClusters);
    if (parts.has("hiddenChannels")) found.hiddenChannels = unruns(parts.get("hiddenChannels")).filter(isChannel);
    if (["rest", "other"].includes(parts.get("contrast"))) found.contrast = parts.get("contrast");
    const threshold = Number(parts.get("threshold"));
    if (parts.has("threshold") && Number.isFinite(threshold)) found.threshold = threshold;
    const range = (parts.get("range") || "").split("~").map(Number);
    if (range.length === 2 && range.every(Number.isFinite) && range[0] < range[1]) found.range = range;
    if (parts.get("path") === "1") found.path = true;
    if (["light", "dark"].includes(parts.get("theme"))) found.theme = parts.get("theme");
    return found;
  }
}

function isColour(name, data) {
  if (["cluster", "score", "time"].includes(name)) return true;
  if (name === "label") return data.label !== null;
  if (name === "recording") return data.group !== null;
  const [what, channel] = name.split(":");
  return ["mean", "deviation"].includes(what) && what in data.about.arrays && Number(channel) >= 0 && Number(channel) < data.nChannels;
}

// [3, 4, 5, 9] <-> "3_5.9": `-` would be a sign, since noise is -1
function runs(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b), parts = [];
  for (let i = 0; i < sorted.length; i++) {
    const first = sorted[i];
    while (i + 1 < sorted.length && sorted[i + 1] === sorted[i] + 1) i++;
    parts.push(first === sorted[i] ? `${first}` : `${first}_${sorted[i]}`);
  }
  return parts.join(".");
}

function unruns(text) {
  const found = [];
  for (const part of text.split(".")) {
    const [first, last] = part.split("_").map(Number);
    if (!Number.isInteger(first)) continue;
    const stop = Number.isInteger(last) ? Math.min(last, first + 1e7) : first;
    for (let i = first; i <= stop; i++) found.push(i);
  }
  return found;
}
