// The windows in the projection.

class ProjectionView {
  constructor(div, data, state) {
    Object.assign(this, { div, data, state });
    // noise is drawn first, so that it lies behind
    this.order = Array.from(data.cluster.keys()).sort((a, b) => (data.cluster[b] < 0) - (data.cluster[a] < 0) || a - b);
    state.listen(["colour", "hiddenClusters", "path", "theme"], () => this.draw());
    state.listen(["selected"], () => this.light());
    state.listen(["window"], () => this.ring());
  }

  colours() {
    const { data } = this, [what, channel] = this.state.values.colour.split(":");
    if (what === "cluster") {
      const codes = [-1, ...data.about.clusters.map((one) => one.cluster)];
      return { of: (w) => data.cluster[w], colorscale: steps(codes.map((c) => data.colour(c))), cmin: -1.5, cmax: codes.length - 1.5, showscale: false };
    }
    if (what === "label") {
      const n = data.about.label_names.length, codes = Array.from({ length: n }, (_, i) => i);
      return { of: (w) => data.label[w], colorscale: steps(codes.map(labelColour)), cmin: -0.5, cmax: n - 0.5, showscale: false };
    }
    const name = what === "score" || what === "time" ? "" : plain(data.about.channels[channel], 16);
    const title = { score: "score", time: "start (s)", mean: `mean of ${name} (z)`, deviation: `deviation of ${name} (z)` }[what];
    const of = { score: (w) => data.score[w], time: (w) => data.startSeconds(w) }[what] || ((w) => data.moment(what, channel, w));
    const known = this.order.map(of).filter(Number.isFinite).sort((a, b) => a - b);
    const at = (share) => known[Math.round(share * (known.length - 1))] ?? 0;
    return {
      of, colorscale: "Cividis", cmin: at(0.01), cmax: at(0.99), showscale: true,
      colorbar: { title: { text: title, side: "right" }, thickness: 9, len: 0.9, x: 1.01, outlinewidth: 0 },
    };
  }

  shown() {
    const hidden = new Set(this.state.values.hiddenClusters);
    return this.order.filter((window) => !hidden.has(this.data.cluster[window]));
  }

  draw() {
    const { data } = this, { of, ...colours } = this.colours();
    this.windows = this.shown();
    this.position = new Map(this.windows.map((window, i) => [window, i]));
    const n = this.windows.length, traces = [{
      type: "scattergl", mode: "markers", x: this.windows.map((w) => data.x[w]), y: this.windows.map((w) => data.y[w]),
      marker: { size: n < 3000 ? 6 : n < 30000 ? 4 : 3, color: this.windows.map(of), ...colours, line: { width: 0 } },
      text: n > 20000 ? undefined : this.windows.map((w) => this.title(w)), hovertemplate: n > 20000 ? "%{x:.2f}, %{y:.2f}<extra></extra>" : "%{text}<extra></extra>",
      unselected: { marker: { opacity: 0.06 } },
    }];
    if (this.state.values.path) {
      const inTime = [...this.windows].sort((a, b) => a - b);
      traces.push({
        type: "scattergl", mode: "lines", x: inTime.map((w) => data.x[w]), y: inTime.map((w) => data.y[w]),
        line: { width: 0.7, color: css("--soft") }, opacity: 0.5, hoverinfo: "skip",
      });
    }
    const shape = layout({
      xaxis: axis({ title: "projection 1 (no unit)" }), yaxis: axis({ title: "projection 2 (no unit)", scaleanchor: "x" }),
      dragmode: this.div.layout ? this.div.layout.dragmode : "lasso", hovermode: "closest", uirevision: "projection", height: 400,
      margin: { l: 46, r: colours.showscale ? 70 : 12, t: 8, b: 36 }, shapes: this.rings(), selections: [],
    });
    draw(this.div, traces, shape, config("projection", { scrollZoom: true })).then((first) => { if (first) this.connect(); this.light(); });
  }

  title(window) {
    const { data } = this;
    const label = data.label ? `<br>label ${plain(data.about.label_names[data.label[window]])}` : "";
    return `window ${window}, from ${seconds(data.startSeconds(window))}<br>${data.clusterName(data.cluster[window])}, score ${number(data.score[window])}${label}`;
  }

  connect() {
    this.div.on("plotly_selected", (event) => {
      if (!event || !event.points) return;
      const chosen = event.points.filter((p) => p.curveNumber === 0).map((p) => this.windows[p.pointNumber]);
      this.own = true;
      this.state.set({ selected: chosen.sort((a, b) => a - b) });
      this.own = false;
    });
    this.div.on("plotly_deselect", () => this.state.set({ selected: [] }));
    this.div.on("plotly_click", (event) => {
      const point = event.points.find((p) => p.curveNumber === 0);
      if (point) this.state.set({ window: this.windows[point.pointNumber] });
    });
    this.div.on("plotly_hover", (event) => this.hover(event.points[0].curveNumber === 0 ? this.windows[event.points[0].pointNumber] : null));
    this.div.on("plotly_unhover", () => this.hover(null));
  }

  // a window under the pointer lights up here and in the series
  hover(window) { document.dispatchEvent(new CustomEvent("hover", { detail: window })); }

  light() {
    const { selected } = this.state.values;
    const points = selected.length ? selected.map((w) => this.position.get(w)).filter((i) => i !== undefined) : null;
    // drawing 100 000 points anew takes a second: not for nothing
    if (points || this.div.data[0].selectedpoints) Plotly.restyle(this.div, { selectedpoints: [points] }, [0]);
    if (!this.own && (this.div.layout.selections || []).length) Plotly.relayout(this.div, { selections: [] });
  }

  rings() {
    const { data } = this, { window } = this.state.values;
    const ring = (w, r, width, dash) => ({
      type: "circle", xref: "x", yref: "y", xsizemode: "pixel", ysizemode: "pixel", xanchor: data.x[w], yanchor: data.y[w],
      x0: -r, x1: r, y0: -r, y1: r, line: { width, dash, color: css("--text") },
    });
    const shapes = window === null ? [] : [ring(window, 8, 2.5, "solid"), ...data.near(window).map((w) => ring(w, 5, 1.2, "solid"))];
    return this.hovered === null || this.hovered === undefined ? shapes : [...shapes, ring(this.hovered, 7, 1.5, "dot")];
  }

  ring() { Plotly.relayout(this.div, { shapes: this.rings() }); }
}
