// The windows in the projection. Above MOST_POINTS only a subset of those in view is drawn; selections and counts include all.

const MOST_POINTS = 25000;
// up to so many windows points are SVG: as smooth, and without WebGL the page is there a quarter of a second earlier
const MOST_VECTORS = 2000;

class ProjectionView {
  constructor(div, data, state) {
    Object.assign(this, { div, data, state, note: document.getElementById("drawn") });
    this.windows = Array.from(data.cluster.keys());
    const behind = data.arrays.behind_cluster;
    this.type = this.windows.length + (behind ? behind.values.length : 0) > MOST_VECTORS ? "scattergl" : "scatter";
    state.listen(["colour", "hiddenClusters", "path", "theme"], () => this.draw());
    state.listen(["size", "opacity"], () => this.restyle());
    state.listen(["selected"], () => this.light());
    state.listen(["window"], () => this.ring());
    state.listen(["threshold"], () => this.mark());
  }

  // a colour for each window
  colours() {
    const { data } = this, [what, channel] = this.state.values.colour.split(":");
    if (what === "label" || what === "recording") {
      const [codes, { length: n }] = what === "label" ? [data.label, data.about.label_names] : [data.group, data.about.group_names];
      return { of: (w) => codes[w], colorscale: steps(Array.from({ length: n }, (_, code) => labelColour(code))), cmin: -0.5, cmax: n - 0.5, showscale: false };
    }
    const name = what === "score" || what === "time" ? "" : plain(data.about.channels[channel], 16);
    const title = { score: "score", time: `start (${data.about.clock.unit})`, mean: `mean of ${name} (z)`, deviation: `deviation of ${name} (z)` }[what];
    const of = { score: (w) => data.score[w], time: (w) => data.startTime(w) }[what] || ((w) => data.moment(what, channel, w));
    const known = this.order.map(of).filter(Number.isFinite).sort((a, b) => a - b);
    const at = (share) => known[Math.round(share * (known.length - 1))] ?? 0;
    return {
      of, colorscale: "Cividis", cmin: at(0.01), cmax: at(0.99), showscale: true,
      colorbar: { title: { text: title, side: "right" }, thickness: 9, len: 0.9, x: 1.01, outlinewidth: 0 },
    };
  }

  // one trace per cluster: much faster than a colour for each point
  groups() {
    const { data } = this, hidden = new Set(this.state.values.hiddenClusters), { cluster } = data.shown;
    // noise is drawn first, behind the clusters
    this.order = [...this.windows.filter((w) => cluster[w] < 0), ...this.windows.filter((w) => cluster[w] >= 0)];
    this.shown = this.order.filter((window) => !hidden.has(data.cluster[window]));
    const shown = this.thin(this.shown);
    if (this.state.values.colour !== "cluster") {
      const { of, ...colours } = this.colours();
      return [{ windows: shown, marker: { color: Float32Array.from(shown, of), ...colours } }];
    }
    const own = new Map([-1, ...data.shown.clusters].map((one) => [one, []]));
    for (const window of shown) own.get(cluster[window]).push(window);
    return [...own].filter(([, windows]) => windows.length).map(([one, windows]) => ({ windows, marker: { color: data.shown.colour(one) } }));
  }

  // about MOST_POINTS windows, including all anomalous and all outermost ones
  thin(windows) {
    if (windows.length <= MOST_POINTS) return windows;
    const { data } = this, [x, y] = this.view(), seen = windows.filter((w) => data.shown.x[w] >= x[0] && data.shown.x[w] <= x[1] && data.shown.y[w] >= y[0] && data.shown.y[w] <= y[1]);
    const step = Math.ceil(seen.length / MOST_POINTS);
    const kept = new Set();
    for (const place of [data.shown.x, data.shown.y]) {
      kept.add(seen.reduce((a, b) => (place[b] < place[a] ? b : a), seen[0]));
      kept.add(seen.reduce((a, b) => (place[b] > place[a] ? b : a), seen[0]));
    }
    return seen.filter((w, i) => i % step === 0 || data.score[w] > data.about.threshold || kept.has(w));
  }

  // the visible range plus half of it on each side, for panning
  view() {
    const { _fullLayout } = this.div;
    if (!this.zoomed || !_fullLayout) return [[-Infinity, Infinity], [-Infinity, Infinity]];
    return [_fullLayout.xaxis, _fullLayout.yaxis].map(({ range: [low, high] }) => [low - (high - low) / 2, high + (high - low) / 2]);
  }

  // the windows of the fitted study, pale, of a recording that it is applied to
  behind() {
    const { data } = this, cluster = data.arrays.behind_cluster;
    if (!cluster) return [];
    const { behind_x: { values: x }, behind_y: { values: y } } = data.arrays;
    return [{ type: this.type, mode: "markers", x, y, marker: { size: 4, opacity: 0.18, color: Array.from(cluster.values, (one) => data.colour(one)), line: { width: 0 } }, hoverinfo: "skip" }];
  }

  draw() {
    const { data } = this;
    if (this.state.values.colour.includes(":") && !data.hasMoments(() => this.draw())) return;
    this.drawn = this.groups();
    this.place = new Map();
    this.drawn.forEach(({ windows }, group) => windows.forEach((window, i) => this.place.set(window, [group, i])));
    this.note.textContent = this.place.size < this.shown.length ? `${this.place.size} of ${this.shown.length} windows are drawn; zoom in to see more. The lasso selects all.` : "";
    const showscale = this.drawn.some(({ marker }) => marker.showscale);
    const behind = this.behind();
    this.nBehind = behind.length;
    if (behind.length) this.note.textContent += ` Pale: ${Array.from(data.about.behind).slice(0, 120).join("")}.`;
    const traces = this.drawn.map(({ windows, marker }) => ({
      type: this.type, mode: "markers", x: Float32Array.from(windows, (w) => data.shown.x[w]), y: Float32Array.from(windows, (w) => data.shown.y[w]),
      marker: { ...this.points(), ...marker, line: { width: 0 } },
      text: windows.map((w) => this.title(w)), hovertemplate: "%{text}<extra></extra>",
      unselected: { marker: { opacity: 0.06 } },
    }));
    if (this.state.values.path) {
      const inTime = [...this.shown].sort((a, b) => a - b);
      traces.push({
        type: this.type, mode: "lines", x: Float32Array.from(inTime, (w) => data.shown.x[w]), y: Float32Array.from(inTime, (w) => data.shown.y[w]),
        line: { width: 0.7, color: css("--soft") }, opacity: 0.5, hoverinfo: "skip",
      });
    }
    traces.push(this.alarms());
    const shape = layout({
      xaxis: axis({ title: "projection 1" }), yaxis: axis({ title: "projection 2", scaleanchor: "x" }),
      dragmode: this.div.layout ? this.div.layout.dragmode : "lasso", hovermode: "closest", uirevision: `projection ${data.shown.moved}`, height: 400,
      margin: { l: 50, r: showscale ? 70 : 12, t: 8, b: 36 }, shapes: this.rings(), selections: [],
    });
    draw(this.div, [...behind, ...traces], shape, config("projection", { scrollZoom: true })).then((first) => { if (first) this.connect(); this.light(); });
  }

  // size and opacity of the points
  points() {
    const { size, opacity } = this.state.values, n = this.place.size;
    return { size: size ?? (n < 3000 ? 6 : n < 15000 ? 4 : 3), opacity };
  }

  restyle() {
    if (!this.div.data) return;
    const { size, opacity } = this.points();
    Plotly.restyle(this.div, { "marker.size": size, "marker.opacity": opacity }, this.drawn.map((_, group) => group + this.nBehind));
  }

  // rings around the anomalous windows; the last trace
  alarms() {
    const { data } = this, { threshold } = this.state.values, found = this.shown.filter((w) => data.score[w] > threshold);
    return {
      type: this.type, mode: "markers", name: "alarms", x: Float32Array.from(found, (w) => data.shown.x[w]), y: Float32Array.from(found, (w) => data.shown.y[w]),
      marker: { symbol: "circle-open", size: 12, color: css("--alarm"), line: { width: 2 } }, unselected: { marker: { opacity: 1 } }, hoverinfo: "skip",
    };
  }

  mark() {
    if (!this.div.data) return;
    const { x, y } = this.alarms();
    Plotly.restyle(this.div, { x: [x], y: [y] }, [this.div.data.length - 1]);
  }

  title(window) {
    const { data } = this;
    const label = data.label ? `<br>label ${plain(data.about.label_names[data.label[window]])}` : "";
    const recording = data.group ? `<br>recording ${plain(data.about.group_names[data.group[window]], 60)}` : "";
    return `window ${window}, from ${data.formatTime(data.startTime(window))}<br>${data.triedName(window)}${plain(data.clusterName(data.cluster[window]), 60)}, score ${number(data.score[window])}${label}${recording}`;
  }

  // the window of a point; null for the path and the windows behind
  windowOf({ curveNumber, pointNumber }) { return this.drawn[curveNumber - this.nBehind]?.windows[pointNumber] ?? null; }

  connect() {
    this.div.on("plotly_selected", (event) => {
      // taking a lasso away, which the page does itself, is told as a selection of nothing
      if (!event || !event.points || !(event.range || event.lassoPoints)) return;
      const chosen = this.chosen(event);
      this.own = true;
      this.state.set({ selected: chosen.sort((a, b) => a - b) });
      this.own = false;
    });
    this.div.on("plotly_deselect", () => this.state.set({ selected: [] }));
    this.div.on("plotly_click", (event) => {
      const window = event.points.map((point) => this.windowOf(point)).find((found) => found !== null);
      if (window !== undefined) this.state.set({ window });
    });
    this.div.on("plotly_relayout", (event) => {
      if (this.shown.length <= MOST_POINTS || !Object.keys(event).some((key) => /^[xy]axis\.(range|autorange)/.test(key))) return;
      this.zoomed = !event["xaxis.autorange"];
      clearTimeout(this.later);
      this.later = setTimeout(() => this.draw(), 200);
    });
    this.div.on("plotly_hover", (event) => this.hover(this.windowOf(event.points[0])));
    this.div.on("plotly_unhover", () => this.hover(null));
  }

  // windows inside the lasso or box, including those that are not drawn
  chosen({ points, lassoPoints, range }) {
    const found = new Set(points.map((point) => this.windowOf(point)).filter((window) => window !== null));
    if (this.place.size < this.shown.length && (lassoPoints || range)) {
      const corners = lassoPoints ? lassoPoints.x.map((x, i) => [x, lassoPoints.y[i]]) : [[0, 0], [1, 0], [1, 1], [0, 1]].map(([i, j]) => [range.x[i], range.y[j]]);
      for (const window of this.shown) if (inside(this.data.shown.x[window], this.data.shown.y[window], corners)) found.add(window);
    }
    return [...found];
  }

  // highlights the window under the pointer, here and in the series
  hover(window) { document.dispatchEvent(new CustomEvent("hover", { detail: window })); }

  light() {
    if (!this.div.data) return; // not drawn yet: the arrays of its colours are still loading
    const { selected } = this.state.values, points = this.drawn.map(() => (selected.length ? [] : null));
    for (const [group, i] of selected.map((w) => this.place.get(w)).filter((place) => place !== undefined)) points[group].push(i);
    // redrawing 100 000 points takes a second, so only if something changed
    if (selected.length || this.div.data.some((trace) => trace.selectedpoints)) Plotly.restyle(this.div, { selectedpoints: points }, points.map((_, group) => group + this.nBehind));
    if (!this.own && (this.div.layout.selections || []).length) Plotly.relayout(this.div, { selections: [] });
  }

  rings() {
    const { data } = this, { window } = this.state.values;
    const ring = (w, r, width, dash) => ({
      type: "circle", xref: "x", yref: "y", xsizemode: "pixel", ysizemode: "pixel", xanchor: data.shown.x[w], yanchor: data.shown.y[w],
      x0: -r, x1: r, y0: -r, y1: r, line: { width, dash, color: css("--text") },
    });
    const shapes = window === null ? [] : [ring(window, 8, 2.5, "solid"), ...(data.near(window) || []).map((w) => ring(w, 5, 1.2, "solid"))];
    return this.hovered === null || this.hovered === undefined ? shapes : [...shapes, ring(this.hovered, 7, 1.5, "dot")];
  }

  ring() { if (this.div.data) Plotly.relayout(this.div, { shapes: this.rings() }); }
}

// point in polygon: a ray from the point crosses the edge an odd number of times
function inside(x, y, corners) {
  let odd = false;
  corners.forEach(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % corners.length];
    if ((ay > y) !== (by > y) && x < ax + ((y - ay) * (bx - ax)) / (by - ay)) odd = !odd;
  });
  return odd;
}
