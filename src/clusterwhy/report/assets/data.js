// Arrays of the page (`array-NAME` elements: base64 of deflated little-endian bytes), and what is asked of them.

const KINDS = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array,
  int32: Int32Array, uint32: Uint32Array, float32: Float32Array, float64: Float64Array,
};
const MAX_CHUNKS = 32; // that are kept in memory, of 2 MB each
const NOTHING = { int8: -128, int16: -32768 }; // what stands for a value that is not finite

async function unpack(name, about, text = null) {
  const element = document.getElementById(`array-${name}`);
  const packed = await fetch(`data:application/octet-stream;base64,${text ?? element.textContent}`);
  if (element) element.remove();
  const plain = packed.body.pipeThrough(new DecompressionStream("deflate"));
  const size = about.shape.slice(1).reduce((a, b) => a * b, 1);
  return { ...about, size, values: new KINDS[about.dtype](await new Response(plain).arrayBuffer()) };
}

// a quantised array at a place: row of the first axis, and position within the row
function real(array, row, at) {
  const level = array.values[row * array.size + at];
  return level === NOTHING[array.dtype] ? NaN : array.offset[row] + array.step[row] * level;
}

// Values of a long series, in files beside the page that are read when they are looked at.
class ValueChunks {
  constructor(about) {
    Object.assign(this, about);
    this.values = new Map(); // number -> its values, the ones used last at the end
    this.coming = new Map();
    this.gone = false; // the page was passed on without its files, or with others
    window.clusterwhyChunk = (key, number, text) => this.coming.get(number)?.take(key, text);
  }

  numbers(first, last) {
    const from = Math.floor(first / this.samples), to = Math.min(this.names.length - 1, Math.floor(last / this.samples));
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  }

  has(first, last) { return this.numbers(first, last).every((number) => this.values.has(number)); }

  value(channel, sample) {
    const { values, length } = this.values.get(Math.floor(sample / this.samples));
    const level = values[channel * length + (sample % this.samples)];
    return level === NOTHING.int16 ? NaN : this.offset[channel] + this.step[channel] * level;
  }

  // resolves to whether all samples from first to last can be read
  async need(first, last) {
    const wanted = this.numbers(first, last);
    if (this.gone || wanted.length > MAX_CHUNKS / 2) return false;
    await Promise.all(wanted.map((number) => this.read(number)));
    for (const number of wanted) { const kept = this.values.get(number); if (kept) { this.values.delete(number); this.values.set(number, kept); } }
    for (const number of this.values.keys()) if (this.values.size > MAX_CHUNKS) this.values.delete(number);
    return this.has(first, last);
  }

  read(number) {
    if (this.values.has(number)) return Promise.resolve();
    if (this.coming.has(number)) return this.coming.get(number).done;
    const one = {}, script = document.createElement("script");
    one.done = new Promise((resolve) => {
      const lost = () => { this.gone = true; document.getElementById("beside").hidden = false; resolve(); };
      one.take = (key, text) => {
        one.taken = true;
        if (key !== this.key) return lost();
        return unpack("chunk", { dtype: "int16", shape: [1] }, text).then(({ values }) => {
          this.values.set(number, { values, length: values.length / this.offset.length });
          resolve();
        }, lost);
      };
      script.addEventListener("error", lost);
      script.addEventListener("load", () => { if (!one.taken) lost(); }); // it is damaged
    }).finally(() => { this.coming.delete(number); script.remove(); });
    this.coming.set(number, one);
    script.src = this.names[number];
    document.head.append(script);
    return one.done;
  }
}

class Data {
  // what the first views need
  static async load() {
    const data = new Data(JSON.parse(document.getElementById("about").textContent));
    await data.read(0);
    return data.ready();
  }

  constructor(about) {
    this.about = about;
    this.arrays = {};
    this.behind = new Promise((resolve) => { this.begin = resolve; }).then(() => this.readBehind());
  }

  // what is large and seldom asked for; it stands at the end of the page
  async readBehind() {
    if (document.readyState === "loading") await new Promise((resolve) => { document.addEventListener("DOMContentLoaded", resolve, { once: true }); });
    await this.read(2);
  }

  // whether `moment` can be asked; if not, it is done as soon as it can
  hasMoments(otherwise) {
    if (!this.arrays.mean) this.behind.then(otherwise);
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
    this.nWindows = about.n_windows;
    this.nChannels = about.channels.length;
    this.length = about.length;
    this.whole = "values" in arrays;
    this.chunks = about.chunks && new ValueChunks(about.chunks);
    this.rows = {}; // window -> row of `explained` and `anomaly`
    for (const kind of ["explained", "anomaly"]) {
      this.rows[kind] = new Map(Array.from(arrays[`${kind}_window`].values, (window, row) => [window, row]));
    }
    this.kept = this.whole ? null : new Map(Array.from(arrays.kept.values, (window, row) => [window, row]));
    return this;
  }

  // number of places that the whole series is drawn by, and the sample of each
  get nPlaces() { return this.arrays[this.whole ? "values" : "low"].size; }
  sampleOf(place) { return this.whole ? place : Math.floor(place * this.about.n_samples / this.nPlaces); }
  placeOf(sample) {
    const place = this.whole ? sample : Math.floor(sample * this.nPlaces / this.about.n_samples);
    return Math.min(this.nPlaces - 1, Math.max(0, place));
  }

  low(channel, place) { return real(this.arrays[this.whole ? "values" : "low"], channel, place); }
  high(channel, place) { return real(this.arrays[this.whole ? "values" : "high"], channel, place); }

  // what samples first..last are drawn from: values, or the least and greatest of each stretch
  source(first, last) {
    if (this.whole || (this.chunks && this.chunks.has(first, last))) {
      const value = this.whole ? (channel, sample) => this.low(channel, sample) : (channel, sample) => this.chunks.value(channel, sample);
      return { single: true, placeOf: (sample) => sample, sampleOf: (place) => place, low: value, high: value };
    }
    return { single: false, placeOf: (sample) => this.placeOf(sample), sampleOf: (place) => this.sampleOf(place), low: (c, p) => this.low(c, p), high: (c, p) => this.high(c, p) };
  }

  // samples as time: in the unit of the page
  span(samples) { return samples / this.about.rate_hz / this.about.clock.seconds; }

  // time by an even clock, and how far the clock of the data is from it (in seconds)
  time(sample) { return this.span(sample) + (this.arrays.drift ? this.arrays.drift.values[this.placeOf(sample)] / this.about.clock.seconds : 0); }

  // times of the samples of a window, in their own unit
  times() { return Array.from({ length: this.length }, (_, t) => t / this.about.rate_hz / this.about.window_clock.seconds); }

  // a time in words
  told(time) { return `${time.toFixed(this.about.clock.digits + 1)} ${this.about.clock.unit}`; }

  // the last sample that is not later
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

  // the window whose middle is nearest to a sample
  windowAt(sample) {
    const wanted = sample - this.length / 2;
    const next = Math.min(this.nWindows - 1, lowerBound(this.start, wanted));
    const before = Math.max(0, next - 1);
    return Math.abs(this.start[before] - wanted) <= Math.abs(this.start[next] - wanted) ? before : next;
  }

  hasValues(window) { return this.whole || this.kept.has(window) || this.inChunks(window); }
  inChunks(window) { return this.chunks.has(this.start[window], this.start[window] + this.length - 1); }

  // resolves to whether the values of a window can be shown
  async needValues(window) {
    return this.hasValues(window) || this.chunks.need(this.start[window], this.start[window] + this.length - 1);
  }

  value(window, channel, t) {
    if (this.whole) return real(this.arrays.values, channel, this.start[window] + t);
    if (!this.kept.has(window)) return this.chunks.value(channel, this.start[window] + t);
    return real(this.arrays.kept_values, channel, this.kept.get(window) * this.length + t);
  }

  moment(name, channel, window) { return real(this.arrays[name], channel, window); }

  near(window) {
    const { values, shape } = this.arrays.near;
    return Array.from(values.subarray(window * shape[1], (window + 1) * shape[1]));
  }

  // relevance that a server sent, under `asked`
  async add(arrays) {
    for (const [name, { text, ...about }] of Object.entries(arrays)) {
      this.arrays[name] = await unpack(name, about, text);
    }
    this.rows.asked = new Map(Array.from(this.arrays.asked_window.values, (window, row) => [window, row]));
  }

  // relevance of one window as shares of its |relevance|: of each channel exactly, of each cell as it is drawn
  relevance(window, kind) {
    const row = this.rows[kind].get(window);
    if (row === undefined) return null;
    const cells = this.arrays[`${kind}_relevance`], channels = this.arrays[`${kind}_channels`];
    return {
      cell: (channel, t) => real(cells, row, channel * this.length + t),
      channel: (channel) => channels.values[row * this.nChannels + channel],
      target: this.arrays[`${kind}_target`].values[row],
      gap: this.arrays[`${kind}_gap`].values[row],
    };
  }

  clusterName(cluster) { return cluster < 0 ? "noise" : `cluster ${cluster}`; }
  colour(cluster) { return cluster < 0 ? this.about.noise_colour : this.about.clusters[cluster].colour; }
  channelName(channel) {
    const unit = this.about.units[channel];
    return `${this.about.channels[channel]} (${unit || "no unit"})`;
  }

  // anomalous windows that overlap or touch, as segments, the worst first
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

// the first position whose value is not less
function lowerBound(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}
