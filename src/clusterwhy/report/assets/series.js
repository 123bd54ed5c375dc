// The whole series: channels in lanes, clusters, labels, scores with the threshold and the segments above it.

const MOST_SHAPES = 300;
const TINTS = 7; // colours of named intervals
const MARGIN = 0.5; // share of the visible range drawn on each side, for panning

class SeriesView {
  constructor(div, data, state) {
    Object.assign(this, { div, data, state });
    state.listen(["range"], () => { if (!this.own) this.draw(); });
    state.listen(["hiddenChannels", "theme"], () => this.draw());
    state.listen(["colour"], () => this.legend());
    state.listen(["threshold", "window", "selected"], () => Plotly.relayout(this.div, { shapes: this.shapes() }));
  }

  whole() { return [0, this.data.time(this.data.about.n_samples - 1) + this.data.span(1)]; }

  // distinguishable positions across the view
  across() { return Math.max(200, Math.round((this.div.clientWidth || 800) * Math.min(2, devicePixelRatio || 1))); }

  draw() {
    const { data } = this, shown = this.state.values.range || this.whole(), margin = MARGIN * (shown[1] - shown[0]);
    const channels = this.state.channels(), lane = lanes(data, channels), whole = this.whole();
    const drawn = [Math.max(whole[0], shown[0] - margin), Math.min(whole[1], shown[1] + margin)];
    const [from, to, first, last] = [...shown, ...drawn].map((time) => data.sampleAt(time)), source = data.source(first, last);
    const traces = [this.lines(channels, source, { from, to, first, last }, lane), ...this.strips(shown, drawn), this.scores(shown, drawn)];
    const names = this.stripNames(), strips = names.length;
    // from the bottom: scores, strips, lanes of the channels
    const height = Math.max(400, 200 + 22 * channels.length), part = (pixels) => pixels / (height - 44), below = part(116), strip = part(18);
    const shape = layout({
      height, uirevision: "series", hovermode: "closest",
      dragmode: this.div.layout ? this.div.layout.dragmode : "select", selectdirection: "h", selections: [],
      xaxis: axis({ title: `time since ${data.since()} (${data.about.clock.unit})`, range: shown, anchor: "y3", autorange: false, uirevision: String(shown) }),
      yaxis: { ...lane.axis, domain: [below + (strips + 0.6) * strip, 1] },
      yaxis2: axis({ domain: [below, below + strips * strip], tickvals: names.map((_, i) => i), ticktext: names.map((name) => (name === "cluster" && data.tried ? "tried" : name)), range: [-0.5, strips - 0.5], fixedrange: true, showgrid: false, zeroline: false }),
      yaxis3: axis({ domain: [0, below - part(8)], title: "score", fixedrange: true, rangemode: "tozero", nticks: 4 }),
      shapes: this.shapes(), annotations: [...this.names(shown), ...this.recordingNames(shown), ...this.intervalNames(shown)], margin: { l: Math.max(62, lane.left), r: 12, t: 8, b: 36 },
    });
    draw(this.div, traces, shape, config("series", { scrollZoom: true })).then((isFirst) => { if (isFirst) this.connect(); });
    this.refine(from, to, first, last, source);
  }

  // loads the values themselves where the time buckets are coarser than the screen
  async refine(from, to, first, last, source) {
    const { data } = this, { chunks } = data;
    if (source.single || !chunks || data.placeOf(to) - data.placeOf(from) > 2 * this.across()) return;
    const view = this.view = {};
    if (await chunks.need(first, last) && this.view === view) this.draw();
  }

  // how many of `n` items share one distinguishable position
  together(n) { return Math.max(1, Math.floor(n / this.across())); }

  // the values of each channel, or minimum and maximum per distinguishable position; all channels are one line with
  // gaps, since every trace costs Plotly a hundredth of a second
  lines(channels, source, samples, lane) {
    const { data } = this, [from, to, first, last] = ["from", "to", "first", "last"].map((name) => source.placeOf(samples[name]));
    const size = this.together(to - from), single = size === 1 && source.single;
    const nBreaks = data.about.breaks.length;
    const n = channels.length * (1 + 4 * nBreaks + (single ? last - first + 1 : 2 * Math.ceil((last - first + 1) / size)));
    const x = new Float64Array(n), y = new Float64Array(n).fill(NaN), values = new Float64Array(n).fill(NaN), names = new Array(n);
    let at = 0;
    for (const channel of channels) {
      const name = plain(data.channelName(channel), 60);
      const add = (place, value) => {
        x[at] = data.time(source.sampleOf(place));
        if (Number.isFinite(value)) { y[at] = lane.of(channel, value); values[at] = value; }
        names[at++] = name;
      };
      const broken = (a, b) => nBreaks > 0 && data.breakBetween(source.sampleOf(a), source.sampleOf(b));
      for (let place = first, stop; place <= last; place = stop) {
        stop = Math.min(place + size, last + 1);
        while (stop > place + 1 && broken(place, stop - 1)) stop -= 1; // no bucket reaches across a gap
        if (place > first && broken(place - 1, place)) add(place, NaN);
        if (single) { add(place, source.low(channel, place)); continue; }
        let low = Infinity, high = -Infinity;
        for (let i = place; i < stop; i++) {
          const l = source.low(channel, i), h = source.high(channel, i);
          if (l < low) low = l;
          if (h > high) high = h;
        }
        add(place, low);
        add((place + stop) / 2, high);
      }
      x[at++] = data.time(source.sampleOf(last));
    }
    return {
      type: "scatter", mode: "lines", x: x.subarray(0, at), y: y.subarray(0, at), customdata: values.subarray(0, at), text: names.slice(0, at), line: { width: 1, color: css("--signal") }, xaxis: "x", yaxis: "y",
      hovertemplate: `%{text}<br>%{customdata:.4g} at %{x:.3f} ${data.about.clock.unit}<extra></extra>`,
    };
  }

  // strips of the windows, from the bottom
  stripNames() {
    const { data } = this;
    return [...(data.about.events.length ? ["event"] : []), ...(data.about.named.segments.length ? ["note"] : []), ...(data.marked ? ["anomaly label"] : []), ...(data.label ? ["label"] : []), ...(data.group ? ["recording"] : []), "cluster"];
  }

  // the name of each recording in its strip, where there is room
  recordingNames([from, to]) {
    const { data } = this, y = this.stripNames().indexOf("recording"), found = [];
    for (let first = 0, stop; data.group && first < data.nWindows; first = stop) {
      for (stop = first + 1; stop < data.nWindows && data.group[stop] === data.group[first];) stop += 1;
      const start = Math.max(from, data.startTime(first)), end = Math.min(to, data.stopTime(stop - 1));
      const letters = Math.floor((0.75 * (this.div.clientWidth || 800) * (end - start)) / (to - from) / 6.5);
      if (letters < 3 || found.length >= MOST_SHAPES) continue;
      found.push({ x: (start + end) / 2, y, xref: "x", yref: "y2", showarrow: false, font: { size: 10, color: css("--text") }, text: plain(data.about.group_names[data.group[first]], letters) });
    }
    return found;
  }

  // clusters, recordings and labels (if any) of the windows with the nearest centres, and expert-labelled anomalies
  strips(shown, [from, to]) {
    const { data } = this, dense = (this.across() * (to - from)) / (shown[1] - shown[0]);
    const n = Math.min(Math.ceil(dense), Math.max(2, data.nWindows * 2)), each = (to - from) / n;
    const x = Array.from({ length: n }, (_, i) => from + (i + 0.5) * each);
    const windows = x.map((time) => data.windowAt(data.sampleAt(time))), known = x.map((time) => data.recorded(time));
    const strip = (y, codes, colours, least, names) => ({
      type: "heatmap", x, y: [y], z: [codes.map((code, i) => (known[i] ? code : null))], hoverongaps: false, zmin: least - 0.5, zmax: least + colours.length - 0.5, colorscale: steps(colours), showscale: false,
      xaxis: "x", yaxis: "y2", text: [windows.map(names)], hovertemplate: "%{text}<extra></extra>",
    });
    // numbers of tried clusters may be missing in between
    const clusters = Array.from({ length: Math.max(-1, ...data.shown.clusters) + 2 }, (_, i) => i - 1);
    const rows = this.stripNames(), row = (name) => rows.indexOf(name);
    const found = [strip(row("cluster"), windows.map((w) => data.shown.cluster[w]), clusters.map((c) => data.shown.colour(c)), -1, (w) => `${data.triedName(w)}${plain(data.clusterName(data.cluster[w]), 60)}<br>window ${w}`)];
    if (data.group) found.push(strip(row("recording"), windows.map((w) => data.group[w] % 2), [css("--grid"), css("--page")], 0, (w) => `recording ${plain(data.about.group_names[data.group[w]], 60)}`));
    if (data.label) found.push(strip(row("label"), windows.map((w) => data.label[w]), data.about.label_names.map((_, i) => labelTint(i)), 0, (w) => `label ${plain(data.about.label_names[data.label[w]])}`));
    if (data.marked) {
      const codes = x.map((time) => Number(this.isMarked(time - each / 2, time + each / 2)));
      found.push(strip(row("anomaly label"), codes, [css("--grid"), css("--alarm")], 0, (w, i) => (codes[i] ? "labelled as an anomaly" : "not labelled")));
    }
    for (const kind of ["event", "note"]) {
      if (row(kind) < 0) continue;
      const { top, titles } = this.places(kind, from, n, each), numbers = this.numbers(kind), codes = top.map((i) => (i < 0 ? null : numbers[i] % TINTS));
      found.push(strip(row(kind), codes, Array.from({ length: TINTS }, (_, i) => labelTint(i)), 0, (w, i) => titles[i].join("<br>")));
    }
    return found;
  }

  // intervals [first sample, sample after the last, name, note] of a strip
  intervals(kind) { return kind === "event" ? this.data.about.events : this.data.about.named.segments; }

  // at places along the series, each so wide: the shortest interval there (-1 for none), and the names of all
  places(kind, first, n, each) {
    const { data } = this, found = this.intervals(kind), top = new Array(n).fill(-1), titles = top.map(() => []);
    const length = (i) => found[i][1] - found[i][0];
    for (const i of [...found.keys()].sort((a, b) => length(b) - length(a))) {
      const [start, stop, name, note] = found[i], ends = [data.time(start), data.time(stop - 1) + data.span(1)].map((time) => (time - first) / each);
      for (let at = Math.max(0, Math.floor(ends[0])); at < Math.min(n, Math.ceil(ends[1])); at++) {
        top[at] = i;
        if (titles[at].length < 5) titles[at].push([`${kind}:`, plain(name || "", 60), plain(note || "", 120)].join(" "));
      }
    }
    return { top, titles };
  }

  // the number of each different name among intervals
  numbers(kind) {
    const names = new Map();
    return this.intervals(kind).map(([, , name]) => { if (!names.has(name)) names.set(name, names.size); return names.get(name); });
  }

  // names of intervals in their strip, where there is room and nothing shorter is in front
  intervalNames([from, to]) {
    const found = [], n = 500, each = (to - from) / n, room = (0.75 * (this.div.clientWidth || 800)) / n / 6.5;
    for (const kind of ["event", "note"]) {
      const y = this.stripNames().indexOf(kind);
      if (y < 0) continue;
      const { top } = this.places(kind, from, n, each), numbers = this.numbers(kind), at = (place) => (top[place] < 0 ? -1 : numbers[top[place]]);
      for (let first = 0, stop; first < n; first = stop) {
        for (stop = first + 1; stop < n && at(stop) === at(first);) stop += 1;
        const letters = Math.floor(room * (stop - first));
        if (at(first) < 0 || letters < 3 || found.length >= MOST_SHAPES) continue;
        const [, , name, note] = this.intervals(kind)[top[first]];
        found.push({ x: from + (each * (first + stop)) / 2, y, xref: "x", yref: "y2", showarrow: false, font: { size: 10, color: css("--text") }, text: plain(name || note, letters) });
      }
    }
    return found;
  }

  // names of labels, written on their strip wherever they fit
  names(shown) {
    const { data } = this;
    if (!data.label) return [];
    const written = new Set(), unwritten = new Set();
    const perPixel = (shown[1] - shown[0]) / Math.max(1, (this.div.clientWidth || 800) - 80), found = [];
    const [first, last] = shown.map((time) => data.windowAt(data.sampleAt(time)));
    for (let start = first, stop; start <= last; start = stop) {
      stop = start + 1;
      while (stop <= last && data.label[stop] === data.label[start] && !data.breakBetween(data.start[stop - 1], data.start[stop])) stop += 1;
      const from = Math.max(shown[0], data.startTime(start)), to = Math.min(shown[1], data.stopTime(stop - 1));
      const text = plain(data.about.label_names[data.label[start]], 40);
      if ((to - from) / perPixel > leftOf([text], 4)) {
        written.add(data.label[start]);
        found.push({ x: (from + to) / 2, y: this.stripNames().indexOf("label"), xref: "x", yref: "y2", text, showarrow: false, font: { size: 11, color: css("--text") } });
      } else unwritten.add(data.label[start]);
    }
    this.unwritten = [...unwritten].filter((code) => !written.has(code));
    this.legend();
    return found;
  }

  // the legends of labels and recordings, only where they say more than the strips
  legend() {
    const { colour } = this.state.values;
    document.getElementById("labels").hidden = !this.data.label || (colour !== "label" && !this.unwritten?.length);
    document.getElementById("recording_names").hidden = colour !== "recording";
  }

  // whether an expert-labelled anomaly lies between two times
  isMarked(from, to) {
    const { marked } = this.data, [first, last] = [from, to].map((time) => this.data.sampleAt(time));
    for (let i = 0; i < marked.length && marked[i] <= last; i += 2) if (marked[i + 1] > first) return true;
    return false;
  }

  scores(shown, drawn) {
    const { data } = this, x = [], y = [], windows = [];
    const [from, to, first, last] = [...shown, ...drawn].map((time) => data.windowAt(data.sampleAt(time)));
    const size = this.together(to - from);
    for (let window = first; window <= last; window += size) {
      let peak = window;
      for (let w = window; w < Math.min(window + size, last + 1); w++) if (data.score[w] > data.score[peak]) peak = w;
      const before = windows[windows.length - 1];
      if (before !== undefined && data.breakBetween(data.start[before], data.start[peak])) { x.push(data.startTime(peak)); y.push(null); windows.push(peak); }
      x.push(data.middle(peak)); y.push(data.score[peak]); windows.push(peak);
    }
    return {
      type: "scatter", mode: windows.length < 600 ? "lines+markers" : "lines", x, y, customdata: windows, xaxis: "x", yaxis: "y3", line: { width: 1, color: css("--signal") }, marker: { size: 2.5, color: css("--signal") },
      hovertemplate: "window %{customdata}<br>score %{y:.4g}<extra></extra>",
    };
  }

  shapes() {
    const { data } = this, { threshold, window, selected } = this.state.values;
    const across = (x0, x1, fillcolor, opacity, yref = "paper", y = [0, 1]) => ({ type: "rect", xref: "x", yref, x0, x1, y0: y[0], y1: y[1], fillcolor, opacity, line: { width: 0 }, layer: "below" });
    const times = (start, stop) => [data.time(start), data.time(start) + data.span(stop - start)];
    const found = data.segments(threshold).slice(0, MOST_SHAPES).map((one) => ({ ...across(...times(one.start, one.stop), css("--alarm"), 0.3), line: { width: 1, color: css("--alarm") } }));
    for (const [start, stop] of this.stretches(selected)) found.push(across(...times(start, stop), css("--accent"), 0.22));
    if (window !== null) found.push({ ...across(data.startTime(window), data.stopTime(window), css("--text"), 0.28), line: { width: 1.5, color: css("--text") } });
    if (this.hovered !== null && this.hovered !== undefined) found.push(across(data.startTime(this.hovered), data.stopTime(this.hovered), css("--text"), 0.18));
    found.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y3", y0: threshold, y1: threshold, line: { width: 1.2, dash: "dash", color: css("--alarm") } });
    return found;
  }

  // spans of the selected windows; nearby spans are merged until there are few enough to draw
  stretches(windows) {
    let found = [], slack = 0;
    do {
      found = [];
      for (const window of windows) {
        const start = this.data.start[window], stop = start + this.data.length, last = found[found.length - 1];
        if (last && start <= last[1] + slack) last[1] = Math.max(last[1], stop); else found.push([start, stop]);
      }
      slack = 2 * slack + this.data.length;
    } while (found.length > MOST_SHAPES);
    return found;
  }

  connect() {
    this.div.on("plotly_relayout", (event) => {
      const given = event["xaxis.range"] || (("xaxis.range[0]" in event) && [event["xaxis.range[0]"], event["xaxis.range[1]"]]);
      if (given) this.move(given.map(Number));
      else if (event["xaxis.autorange"] || event["xaxis.showspikes"] === false) this.state.set({ range: null });
    });
    this.div.on("plotly_doubleclick", () => { this.state.set({ range: null, selected: [] }); });
    this.div.on("plotly_selected", (event) => {
      if (!event || !event.range || !event.range.x) return;
      const [from, to] = event.range.x.map(Number).sort((a, b) => a - b);
      const chosen = Array.from(this.data.start.keys()).filter((w) => this.data.middle(w) >= from && this.data.middle(w) <= to);
      this.state.set({ selected: chosen });
      Plotly.relayout(this.div, { selections: [] });
    });
    this.div.on("plotly_click", (event) => {
      const time = event.points[0].x;
      this.state.set({ window: event.points[0].data.yaxis === "y3" ? event.points[0].customdata : this.data.windowAt(this.data.sampleAt(time)) });
    });
  }

  // zoomed or panned: redraw after the last event
  move(range) {
    this.own = true;
    this.state.set({ range });
    this.own = false;
    clearTimeout(this.later);
    this.later = setTimeout(() => this.draw(), 120);
  }

  show() { Plotly.relayout(this.div, { shapes: this.shapes() }); }
}
