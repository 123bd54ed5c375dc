// Decodes the arrays of the page (`array-NAME` elements: base64 of deflated little-endian bytes) and gives access to them.

const KINDS = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array,
  int32: Int32Array, uint32: Uint32Array, float32: Float32Array, float64: Float64Array,
};
const MAX_CHUNKS = 32; // kept in memory, 2 MB each
const NOT_FINITE = { int8: -128, int16: -32768 }; // codes of values that are not finite

// the bytes that base64 stands for; to fetch them from a data: address takes four times as long
function bytes(text) {
  const decoded = atob(text), found = new Uint8Array(decoded.length);
  for (let i = 0; i < found.length; i++) found[i] = decoded.charCodeAt(i);
  return found;
}

async function unpack(name, about, text = null) {
  const element = document.getElementById(`array-${name}`);
  const packed = bytes(text ?? element.textContent);
  if (element) element.remove();
  const plain = new Response(packed).body.pipeThrough(new DecompressionStream("deflate"));
  const size = about.shape.slice(1).reduce((a, b) => a * b, 1);
  return { ...about, size, values: new KINDS[about.dtype](await new Response(plain).arrayBuffer()) };
}

// the answer of the server behind a served page; its reason where it refuses
async function post(path, asked) {
  const sent = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked) }), found = await sent.json();
  if (!sent.ok) throw new Error(found.error);
  return found;
}

// all arrays of such an answer
async function unpackAll(packed) {
  const arrays = {};
  for (const [name, { text, ...about }] of Object.entries(packed)) arrays[name] = await unpack(name, about, text);
  return arrays;
}

// one value of a quantised array, by row (first axis) and position within the row
function real(array, row, at) {
  const level = array.values[row * array.size + at];
  return level === NOT_FINITE[array.dtype] ? NaN : array.offset[row] + array.step[row] * level;
}

// Arrays in chunk files beside the page, which are loaded on demand.
class Chunks {
  constructor(about, callback, dtype) {
    Object.assign(this, about, { dtype });
    this.values = new Map(); // chunk number -> values, most recently used last
    this.pending = new Map();
    this.unavailable = false; // the chunk files are missing or belong to another page
    window[callback] = (key, number, text) => this.pending.get(number)?.take(key, text);
  }

  // resolves to true if all these chunks are available
  async needAll(wanted) {
    if (this.unavailable || wanted.length > MAX_CHUNKS / 2) return false;
    await Promise.all(wanted.map((number) => this.read(number)));
    for (const number of wanted) { const kept = this.values.get(number); if (kept) { this.values.delete(number); this.values.set(number, kept); } }
    for (const number of this.values.keys()) if (this.values.size > MAX_CHUNKS) this.values.delete(number);
    return wanted.every((number) => this.values.has(number));
  }

  read(number) {
    if (this.values.has(number)) return Promise.resolve();
    if (this.pending.has(number)) return this.pending.get(number).done;
    const one = {}, script = document.createElement("script");
    one.done = new Promise((resolve) => {
      const fail = () => { this.unavailable = true; document.getElementById("beside").hidden = false; resolve(); };
      one.take = (key, text) => {
        one.taken = true;
        if (key !== this.key) return fail();
        return unpack("chunk", { dtype: this.dtype, shape: [1] }, text).then(({ values }) => { this.values.set(number, values); resolve(); }, fail);
      };
      script.addEventListener("error", fail);
      script.addEventListener("load", () => { if (!one.taken) fail(); }); // damaged file
    }).finally(() => { this.pending.delete(number); script.remove(); });
    this.pending.set(number, one);
    script.src = this.names[number];
    document.head.append(script);
    return one.done;
  }
}

// Values of a long series.
class ValueChunks extends Chunks {
  constructor(about) { super(about, "clusterwhyChunk", "int16"); }

  numbers(first, last) {
    const from = Math.floor(first / this.samples), to = Math.min(this.names.length - 1, Math.floor(last / this.samples));
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  }

  has(first, last) { return this.numbers(first, last).every((number) => this.values.has(number)); }
  need(first, last) { return this.needAll(this.numbers(first, last)); }

  value(channel, sample) {
    const values = this.values.get(Math.floor(sample / this.samples));
    const level = values[channel * (values.length / this.offset.length) + (sample % this.samples)];
    return level === NOT_FINITE.int16 ? NaN : this.offset[channel] + this.step[channel] * level;
  }
}

// Relevance of many windows, by their rows.
class RelevanceChunks extends Chunks {
  constructor(about) { super(about, "clusterwhyRelevance", "int8"); }

  number(row) { return Math.floor(row / this.windows); }
  has(row) { return this.values.has(this.number(row)); }
  need(rows) { return this.needAll([...new Set(rows.map((row) => this.number(row)))]); }
  level(row, at, size) { return this.values.get(this.number(row))[(row % this.windows) * size + at]; }
}

class Data {
  // loads the arrays of the first views
  static async load() {
    const data = new Data(JSON.parse(document.getElementById("about").textContent));
    await data.read(0);
    return data.ready();
  }

  constructor(about) {
    this.about = about;
    this.begins = about.clock.dates.map(([begins]) => begins);
    this.arrays = {};
    this.background = new Promise((resolve) => { this.startBackground = resolve; }).then(() => this.readBackground());
  }

  // large, rarely used arrays at the end of the page
  async readBackground() {
    if (document.readyState === "loading") await new Promise((resolve) => { document.addEventListener("DOMContentLoaded", resolve, { once: true }); });
    await this.read(2);
  }

  // true if `moment` is available; otherwise `callback` is called once it is; a page of very many windows has none
  hasMoments(callback) {
    if (!this.about.arrays.mean) return false;
    if (!this.arrays.mean) this.background.then(callback);
    return Boolean(this.arrays.mean);
  }

  async read(turn) {
    const named = Object.entries(this.about.arrays).filter(([, about]) => about.turn === turn);
    await Promise.all(named.map(async ([name, about]) => { this.arrays[name] = await unpack(name, about); }));
  }

  ready() {
    const { about, arrays } = this;
    for (const name of ["start", "x", "y", "cluster", "strength", "score"]) this[name] = arrays[name].values;
    this.marked = arrays.marked ? arrays.marked.values : null;
    this.label = arrays.label ? arrays.label.values : null;
    this.group = arrays.group ? arrays.group.values : null; // recordings
    this.shown = this.ofStudy();
    this.nWindows = about.n_windows;
    this.nChannels = about.channels.length;
    this.length = about.length;
    this.whole = "values" in arrays;
    this.chunks = about.chunks && new ValueChunks(about.chunks);
    this.cells = about.cells && new RelevanceChunks(about.cells);
    this.rows = {}; // window -> row of `explained` and `anomaly`
    for (const kind of ["explained", "anomaly"]) {
      this.rows[kind] = new Map(Array.from(arrays[`${kind}_window`].values, (window, row) => [window, row]));
    }
    this.kept = this.whole ? null : new Map(Array.from(arrays.kept.values, (window, row) => [window, row]));
    return this;
  }

  // clusters and places that are drawn: those of the study, unless others are tried
  ofStudy() {
    return { cluster: this.cluster, x: this.x, y: this.y, clusters: this.about.clusters.map((one) => one.cluster), colour: (cluster) => this.colour(cluster), moved: 0 };
  }
  get tried() { return this.shown.cluster !== this.cluster; }

  // the tried cluster of a window, to be followed by that of the study
  triedName(window) {
    const cluster = this.shown.cluster[window];
    return this.tried ? `tried: ${cluster < 0 ? "noise" : `cluster ${cluster}`}<br>study: ` : "";
  }

  // number of drawing positions of the whole series, and conversions between positions and samples
  get nPlaces() { return this.arrays[this.whole ? "values" : "low"].size; }
  sampleOf(place) { return this.whole ? place : Math.floor(place * this.about.n_samples / this.nPlaces); }
  placeOf(sample) {
    const place = this.whole ? Math.floor(sample) : Math.floor(sample * this.nPlaces / this.about.n_samples);
    return Math.min(this.nPlaces - 1, Math.max(0, place));
  }

  low(channel, place) { return real(this.arrays[this.whole ? "values" : "low"], channel, place); }
  high(channel, place) { return real(this.arrays[this.whole ? "values" : "high"], channel, place); }

  // source of samples first..last: the values, or minima and maxima of time buckets
  source(first, last) {
    if (this.whole || (this.chunks && this.chunks.has(first, last))) {
      const value = this.whole ? (channel, sample) => this.low(channel, sample) : (channel, sample) => this.chunks.value(channel, sample);
      return { single: true, placeOf: (sample) => sample, sampleOf: (place) => place, low: value, high: value };
    }
    return { single: false, placeOf: (sample) => this.placeOf(sample), sampleOf: (place) => this.sampleOf(place), low: (c, p) => this.low(c, p), high: (c, p) => this.high(c, p) };
  }

  // a number of samples as a duration, in the unit of the page
  span(samples) { return samples / this.about.rate_hz / this.about.clock.seconds; }

  // time of a sample: that of a regular clock plus the drift of the recorded clock (in seconds)
  time(sample) { return this.span(sample) + (this.arrays.drift ? this.arrays.drift.values[this.placeOf(sample)] / this.about.clock.seconds : 0); }

  // whether a new segment begins after one sample and up to another: no line joins them
  breakBetween(first, last) {
    const { breaks } = this.about, next = lowerBound(breaks, first + 1);
    return next < breaks.length && breaks[next] <= last;
  }

  // whether something was recorded at a time, rather than in a gap
  recorded(time) { return time <= this.time(this.sampleAt(time)) + 1.5 * this.span(1); }

  // times of the samples within a window, in the unit of windows
  times() { return Array.from({ length: this.length }, (_, t) => t / this.about.rate_hz / this.about.window_clock.seconds); }

  // a formatted time
  formatTime(time) { return this.dated ? `${this.date(time)} UTC` : `${time.toFixed(this.about.clock.digits + 1)} ${this.about.clock.unit}`; }
  formatRange(from, to) {
    if (!this.dated) return `${this.formatTime(from)} to ${this.formatTime(to)}`;
    const [day, other] = [from, to].map((time) => this.date(time).slice(0, 10));
    return `${this.date(from)} to ${day === other ? this.date(to).slice(11) : this.date(to)} UTC`;
  }
  get dated() { return this.about.clock.dates.length > 0; }
  date(time) {
    const { dates, seconds, date_digits } = this.about.clock, at = time * seconds;
    const [begins, moment] = dates[Math.max(0, lowerBound(this.begins, at + 0.5 / this.about.rate_hz) - 1)]; // of its recording
    return new Date(moment + 1000 * (at - begins)).toISOString().replace("T", " ").slice(0, date_digits);
  }

  // what times on axes count from
  since() {
    if (this.about.clock.dates.length > 1) return "the first sample, recordings one after the other";
    return this.dated ? this.formatTime(0) : "the first sample";
  }

  // the last sample at or before a time
  sampleAt(time) {
    const last = this.about.n_samples - 1;
    if (!this.arrays.drift) return Math.min(last, Math.max(0, Math.round(time / this.span(1))));
    let low = 0, high = last;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.time(middle) <= time + 1e-9) low = middle; else high = middle - 1;
    }
    return low;
  }

  startTime(window) { return this.time(this.start[window]); }
  stopTime(window) { return this.time(this.start[window]) + this.span(this.length); }
  middle(window) { return (this.startTime(window) + this.stopTime(window)) / 2; }

  // the window whose centre is nearest to a sample
  windowAt(sample) {
    const wanted = sample - this.length / 2;
    const next = Math.min(this.nWindows - 1, lowerBound(this.start, wanted));
    const before = Math.max(0, next - 1);
    return Math.abs(this.start[before] - wanted) <= Math.abs(this.start[next] - wanted) ? before : next;
  }

  hasValues(window) { return this.whole || this.kept.has(window) || this.inChunks(window); }
  inChunks(window) { return this.chunks.has(this.start[window], this.start[window] + this.length - 1); }

  // resolves to true if the values of a window are available
  async needValues(window) {
    return this.hasValues(window) || this.chunks.need(this.start[window], this.start[window] + this.length - 1);
  }

  value(window, channel, t) {
    if (this.whole) return real(this.arrays.values, channel, this.start[window] + t);
    if (!this.kept.has(window)) return this.chunks.value(channel, this.start[window] + t);
    return real(this.arrays.kept_values, channel, this.kept.get(window) * this.length + t);
  }

  moment(name, channel, window) { return real(this.arrays[name], channel, window); }

  // the nearest windows; null if the page does not know them, as of most of very many windows
  near(window) {
    const { values, shape } = this.arrays.near, asked = this.arrays.near_of;
    const row = asked ? lowerBound(asked.values, window) : window;
    if (asked && asked.values[row] !== window) return null;
    return Array.from(values.subarray(row * shape[1], (row + 1) * shape[1]));
  }

  // keeps relevance of a part of a selection, under `asked`
  keep(arrays) {
    this.rows.asked ||= new Map();
    arrays.asked_window.values.forEach((window, row) => this.rows.asked.set(window, { arrays, row }));
  }

  // relevance of one window as shares of its |relevance|: exact per channel, quantised per cell where cells are known
  relevance(window, kind) {
    const place = this.rows[kind].get(window);
    if (place === undefined) return null;
    const { arrays, row } = kind === "asked" ? place : { arrays: this.arrays, row: place };
    const cells = arrays[`${kind}_relevance`], channels = arrays[`${kind}_channels`];
    const beside = kind === "explained" && this.cells ? this.cells : null, size = this.nChannels * this.length;
    const of = (name) => arrays[`${kind}_${name}`].values[row];
    return {
      known: !beside || beside.has(row),
      cell: beside ? (channel, t) => cells.step[row] * beside.level(row, channel * this.length + t, size) : (channel, t) => real(cells, row, channel * this.length + t),
      channel: (channel) => channels.values[row * this.nChannels + channel],
      target: of("target"), gap: of("gap"),
      ...(kind === "explained" ? { cluster: of("cluster"), reference: of("reference") < 0 ? null : of("reference"), encoders: of("encoders") } : {}),
    };
  }

  // resolves to true if the relevance of the cells of windows is available
  async needCells(windows) {
    const rows = windows.map((window) => this.rows.explained.get(window)).filter((row) => row !== undefined);
    return !this.cells || this.cells.need(rows);
  }

  clusterName(cluster) { return cluster < 0 ? "noise" : this.about.named.clusters[cluster]?.name || `cluster ${cluster}`; }
  colour(cluster) { return cluster < 0 ? this.about.noise_colour : this.about.clusters[cluster].colour; }
  channelName(channel) {
    const unit = this.about.units[channel];
    return unit ? `${this.about.channels[channel]} (${unit})` : this.about.channels[channel];
  }

  // overlapping or adjacent anomalous windows merged into segments, highest score first
  segments(threshold) {
    const found = [];
    for (let window = 0; window < this.nWindows; window++) {
      if (!(this.score[window] > threshold)) continue;
      const start = this.start[window], last = found[found.length - 1];
      if (last && start <= last.stop) {
        last.stop = start + this.length;
        last.windows += 1;
        if (this.score[window] > last.score) Object.assign(last, { score: this.score[window], peak: window });
      } else {
        found.push({ start, stop: start + this.length, windows: 1, score: this.score[window], peak: window });
      }
    }
    return found.sort((a, b) => b.score - a.score);
  }
}

// the first position with sorted[position] >= value
function lowerBound(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}
