// The whole series: channels in lanes, clusters, labels, scores with the threshold and the segments above it.

const ACROSS = 1400; // places drawn across the view
const MOST_SHAPES = 300;

class SeriesView {
  constructor(div, data, state) {
    Object.assign(this, { div, data, state });
    state.listen(["range"], () => { if (!this.own) this.draw(); });
    state.listen(["hiddenChannels", "theme"], () => this.draw());
    state.listen(["threshold", "window", "selected"], () => Plotly.relayout(this.div, { shapes: this.shapes() }));
  }

  whole() { return [0, this.data.seconds(this.data.about.n_samples - 1) + 1 / this.data.about.rate_hz]; }

  draw() {
    const { data } = this, shown = this.state.values.range || this.whole(), width = shown[1] - shown[0];
    const channels = this.state.channels(), lane = lanes(data, channels);
    // some more on both sides, for panning
    const first = data.placeOf(data.sampleAt(shown[0] - width)), last = data.placeOf(data.sampleAt(shown[1] + width));
    const traces = channels.map((channel) => this.line(channel, first, last, width, lane));
    traces.push(...this.strips(shown, width), this.scores(shown, width));
    const strips = data.label ? 2 : 1, names = data.label ? ["label", "cluster"] : ["cluster"];
    const shape = layout({
      height: Math.max(400, 150 + 24 * channels.length), uirevision: "series", hovermode: "closest",
      dragmode: this.div.layout ? this.div.layout.dragmode : "select", selectdirection: "h", selections: [],
      xaxis: axis({ title: "time since the first sample (s)", range: shown, anchor: "y3", autorange: false, uirevision: String(shown) }),
      yaxis: { ...lane.axis, domain: [0.36, 1] },
      yaxis2: axis({ domain: [0.345 - 0.05 * strips, 0.345], tickvals: names.map((_, i) => i), ticktext: names, range: [-0.5, strips - 0.5], fixedrange: true, showgrid: false, zeroline: false }),
      yaxis3: axis({ domain: [0, 0.325 - 0.05 * strips], title: "score", fixedrange: true, rangemode: "tozero", nticks: 4 }),
      shapes: this.shapes(),
    });
    draw(this.div, traces, shape, config("series", { scrollZoom: true })).then((isFirst) => { if (isFirst) this.connect(); });
  }

  // about as many places as the view has pixels: those of a channel, or the least and greatest of each stretch
  line(channel, first, last, width, lane) {
    const { data } = this, n = last - first + 1, size = Math.max(1, Math.floor(n / (3 * ACROSS)));
    const x = [], y = [], values = [];
    const add = (place, value) => { x.push(data.seconds(data.sampleOf(place))); y.push(Number.isFinite(value) ? lane.of(channel, value) : null); values.push(value); };
    for (let place = first; place <= last; place += size) {
      if (size === 1 && data.whole) { add(place, data.low(channel, place)); continue; }
      let low = Infinity, high = -Infinity;
      for (let i = place; i < Math.min(place + size, last + 1); i++) {
        const l = data.low(channel, i), h = data.high(channel, i);
        if (l < low) low = l;
        if (h > high) high = h;
      }
      add(place, low);
      add(place + size / 2, high);
    }
    return {
      type: "scattergl", mode: "lines", x, y, customdata: values, line: { width: 1, color: css("--signal") }, xaxis: "x", yaxis: "y",
      text: plain(data.channelName(channel), 60), hovertemplate: "%{text}<br>%{customdata:.4g} at %{x:.3f} s<extra></extra>",
    };
  }

  // clusters, and labels where there are any, of the windows whose middles are nearest
  strips(shown, width) {
    const { data } = this, n = Math.min(3 * ACROSS, Math.max(2, data.nWindows * 2));
    const from = Math.max(this.whole()[0], shown[0] - width), to = Math.min(this.whole()[1], shown[1] + width), each = (to - from) / n;
    const x = Array.from({ length: n }, (_, i) => from + (i + 0.5) * each);
    const windows = x.map((second) => data.windowAt(data.sampleAt(second)));
    const strip = (y, codes, colours, least, names) => ({
      type: "heatmap", x, y: [y], z: [codes], zmin: least - 0.5, zmax: least + colours.length - 0.5, colorscale: steps(colours), showscale: false,
      xaxis: "x", yaxis: "y2", text: [windows.map(names)], hovertemplate: "%{text}<extra></extra>",
    });
    const clusters = [-1, ...data.about.clusters.map((one) => one.cluster)];
    const row = data.label ? 1 : 0;
    const found = [strip(row, windows.map((w) => data.cluster[w]), clusters.map((c) => data.colour(c)), -1, (w) => `${data.clusterName(data.cluster[w])}<br>window ${w}`)];
    if (data.label) found.push(strip(0, windows.map((w) => data.label[w]), data.about.label_names.map((_, i) => labelColour(i)), 0, (w) => `label ${plain(data.about.label_names[data.label[w]])}`));
    return found;
  }

  scores(shown, width) {
    const { data } = this, x = [], y = [], windows = [];
    const first = data.windowAt(data.sampleAt(shown[0] - width)), last = data.windowAt(data.sampleAt(shown[1] + width));
    const size = Math.max(1, Math.floor((last - first) / (3 * ACROSS)));
    for (let window = first; window <= last; window += size) {
      let peak = window;
      for (let w = window; w < Math.min(window + size, last + 1); w++) if (data.score[w] > data.score[peak]) peak = w;
      x.push(data.middle(peak)); y.push(data.score[peak]); windows.push(peak);
    }
    this.scored = windows;
    return {
      type: "scattergl", mode: "lines+markers", x, y, customdata: windows, xaxis: "x", yaxis: "y3", line: { width: 1, color: css("--signal") }, marker: { size: 2.5, color: css("--signal") },
      hovertemplate: "window %{customdata}<br>score %{y:.4g}<extra></extra>",
    };
  }

  shapes() {
    const { data } = this, { threshold, window, selected } = this.state.values;
    const across = (x0, x1, fillcolor, opacity, yref = "paper", y = [0, 1]) => ({ type: "rect", xref: "x", yref, x0, x1, y0: y[0], y1: y[1], fillcolor, opacity, line: { width: 0 }, layer: "below" });
    const seconds = (start, stop) => [data.seconds(start), data.seconds(start) + (stop - start) / data.about.rate_hz];
    const found = data.segments(threshold).slice(0, MOST_SHAPES).map((one) => across(...seconds(one.start, one.stop), css("--alarm"), 0.3));
    for (const [start, stop] of this.stretches(selected)) found.push(across(...seconds(start, stop), css("--accent"), 0.22));
    if (window !== null) found.push({ ...across(data.startSeconds(window), data.stopSeconds(window), css("--text"), 0.28), line: { width: 1.5, color: css("--text") } });
    if (this.hovered !== null && this.hovered !== undefined) found.push(across(data.startSeconds(this.hovered), data.stopSeconds(this.hovered), css("--text"), 0.18));
    found.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y3", y0: threshold, y1: threshold, line: { width: 1.2, dash: "dash", color: css("--alarm") } });
    return found;
  }

  // samples of chosen windows; near ones are joined until there are few enough to draw
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
      const second = event.points[0].x;
      this.state.set({ window: event.points[0].data.yaxis === "y3" ? event.points[0].customdata : this.data.windowAt(this.data.sampleAt(second)) });
    });
  }

  // zoomed or panned: the view is drawn anew once it rests
  move(range) {
    this.own = true;
    this.state.set({ range });
    this.own = false;
    clearTimeout(this.later);
    this.later = setTimeout(() => this.draw(), 120);
  }

  show() { Plotly.relayout(this.div, { shapes: this.shapes() }); }
}
