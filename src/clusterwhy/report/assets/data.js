// Arrays of the page (`array-NAME` elements: base64 of deflated little-endian bytes), and what is asked of them.

const KINDS = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array,
  int32: Int32Array, uint32: Uint32Array, float32: Float32Array, float64: Float64Array,
};
const NOTHING = { int8: -128, int16: -32768 }; // what stands for a value that is not finite

async function unpack(name, about, text = null) {
  const element = document.getElementById(`array-${name}`);
  const packed = await fetch(`data:application/octet-stream;base64,${text ?? element.textContent}`);
  if (element) element.remove();
  const plain = packed.body.pipeThrough(new DecompressionStream("deflate"));
  return { ...about, values: new KINDS[about.dtype](await new Response(plain).arrayBuffer()) };
}

// a quantised array at a place: row of the first axis, and position within the row
function real(array, row, at) {
  const level = array.values[row * array.size + at];
  return level === NOTHING[array.dtype] ? NaN : array.offset[row] + array.step[row] * level;
}

class Data {
  static async load() {
    const about = JSON.parse(document.getElementById("about").textContent);
    const names = Object.keys(about.arrays);
    const arrays = await Promise.all(names.map((name) => unpack(name, about.arrays[name])));
    arrays.forEach((array) => { array.size = array.shape.slice(1).reduce((a, b) => a * b, 1); });
    return new Data(about, Object.fromEntries(names.map((name, i) => [name, arrays[i]])));
  }

  constructor(about, arrays) {
    this.about = about;
    this.arrays = arrays;
    for (const name of ["start", "x", "y", "cluster", "strength", "score"]) this[name] = arrays[name].values;
    this.label = arrays.label ? arrays.label.values : null;
    this.nWindows = about.n_windows;
    this.nChannels = about.channels.length;
    this.length = about.length;
    this.whole = "values" in arrays;
    this.rows = {}; // window -> row of `explained` and `strange`
    for (const kind of ["explained", "strange"]) {
      this.rows[kind] = new Map(Array.from(arrays[`${kind}_window`].values, (window, row) => [window, row]));
    }
    this.kept = this.whole ? null : new Map(Array.from(arrays.kept.values, (window, row) => [window, row]));
    this.ranges = about.channels.map((_, channel) => this.range(channel));
  }

  // number of places that the series is drawn by, and the sample of each
  get nPlaces() { return this.arrays[this.whole ? "values" : "low"].size; }
  sampleOf(place) { return this.whole ? place : Math.floor(place * this.about.n_samples / this.nPlaces); }
  placeOf(sample) {
    const place = this.whole ? sample : Math.floor(sample * this.nPlaces / this.about.n_samples);
    return Math.min(this.nPlaces - 1, Math.max(0, place));
  }

  seconds(sample) {
    if (!this.arrays.seconds) return sample / this.about.rate_hz;
    return this.arrays.seconds.values[this.placeOf(sample)];
  }

  // the last sample that is not later
  sampleAt(seconds) {
    if (!this.arrays.seconds) return Math.min(this.about.n_samples - 1, Math.max(0, Math.round(seconds * this.about.rate_hz)));
    const times = this.arrays.seconds.values;
    return this.sampleOf(Math.max(0, lowerBound(times, seconds + 1e-9) - 1));
  }

  startSeconds(window) { return this.seconds(this.start[window]); }
  stopSeconds(window) { return this.seconds(this.start[window]) + this.length / this.about.rate_hz; }
  middle(window) { return (this.startSeconds(window) + this.stopSeconds(window)) / 2; }

  // the window whose middle is nearest to a sample
  windowAt(sample) {
    const wanted = sample - this.length / 2;
    const next = Math.min(this.nWindows - 1, lowerBound(this.start, wanted));
    const before = Math.max(0, next - 1);
    return Math.abs(this.start[before] - wanted) <= Math.abs(this.start[next] - wanted) ? before : next;
  }

  low(channel, place) { return real(this.arrays[this.whole ? "values" : "low"], channel, place); }
  high(channel, place) { return real(this.arrays[this.whole ? "values" : "high"], channel, place); }

  // what nearly all values of a channel lie in
  range(channel) {
    const step = Math.max(1, Math.floor(this.nPlaces / 5000)), found = [];
    for (let place = 0; place < this.nPlaces; place += step) found.push(this.low(channel, place), this.high(channel, place));
    const known = found.filter(Number.isFinite).sort((a, b) => a - b);
    if (!known.length) return [0, 1];
    const low = known[Math.floor(0.002 * (known.length - 1))], high = known[Math.ceil(0.998 * (known.length - 1))];
    return high > low ? [low, high] : [low - 0.5, low + 0.5];
  }

  hasValues(window) { return this.whole || this.kept.has(window); }

  value(window, channel, t) {
    if (this.whole) return real(this.arrays.values, channel, this.start[window] + t);
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
      this.arrays[name].size = about.shape.slice(1).reduce((a, b) => a * b, 1);
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
