// One window: its channels over its relevance, and its nearest windows.

class WindowView {
  constructor(root, data, state) {
    Object.assign(this, { data, state });
    for (const name of ["plot", "bars", "title", "note", "near", "why"]) this[name] = root.querySelector(`[data-part="${name}"]`);
    for (const button of this.why.children) button.addEventListener("click", () => state.set({ why: button.value }));
    state.listen(["window", "why", "hiddenChannels", "theme"], () => this.draw());
  }

  draw() {
    const { data } = this, { window, why } = this.state.values;
    this.why.hidden = window === null || !data.rows.anomaly.has(window) || !data.rows.explained.has(window);
    for (const button of this.why.children) button.setAttribute("aria-pressed", String(button.value === why));
    this.plot.hidden = this.bars.hidden = window === null;
    if (window === null) {
      this.title.textContent = "No window selected";
      this.note.textContent = "Click a point of the projection or of the series; the arrow keys select the previous and next window.";
      this.near.replaceChildren();
      return;
    }
    const kind = data.rows.anomaly.has(window) && (why === "anomaly" || !data.rows.explained.has(window)) ? "anomaly" : "explained";
    const found = data.relevance(window, kind);
    const label = data.label ? `, label ${data.about.label_names[data.label[window]]}` : "";
    this.title.textContent = `Window ${window}: ${data.formatRange(data.startTime(window), data.stopTime(window))}, ${data.clusterName(data.cluster[window])} (membership ${number(data.strength[window], 2)}), score ${number(data.score[window])}${label}`;
    this.note.textContent = this.said(window, found, kind);
    const near = data.near(window);
    this.near.replaceChildren(near ? "Nearest in the embedding: " : "Of so many windows, only those explained for their cluster have their nearest in the page.", ...(near || []).map((w) => chip(`window ${w}, ${data.clusterName(data.cluster[w])}, ${data.formatTime(data.startTime(w))}`, { window: w })));
    const channels = this.state.channels(), lane = lanes(data, channels);
    const times = data.times();
    const traces = [];
    if (found && found.known) traces.push(heat(data, lane, channels, times, (channel, t) => 100 * found.cell(channel, t), "relevance<br>(% of |relevance|)"));
    if (data.hasValues(window)) traces.push(...channels.map((channel) => laneLine(data, lane, channel, times, (t) => data.value(window, channel, t))));
    const beside = found?.reference ?? null;
    if (beside !== null && data.hasValues(beside)) traces.push(...channels.map((channel) => laneLine(data, lane, channel, times, (t) => data.value(beside, channel, t), { line: { width: 1.2, color: "#111", dash: "dot" } })));
    draw(this.plot, traces, laneLayout(lane, channels.length, `time in the window (${data.about.window_clock.unit})`), config(`window_${window}`));
    const again = (there) => { if (there && this.state.values.window === window) this.draw(); };
    for (const one of beside === null ? [window] : [window, beside]) if (!data.hasValues(one)) data.needValues(one).then(again);
    if (found && !found.known) data.needCells([window]).then(again);
    this.bars.hidden = !found;
    if (found) drawBars(this.bars, data, channels.map((channel) => ({ channel, share: found.channel(channel), low: 0, high: 0 })), "relevance (% of |relevance|)", `window_${window}_channels`);
  }

  said(window, found, kind) {
    const { data } = this;
    if (!found) return data.rows.explained.size ? "This window was not explained: `coverage` in params.yaml says how many are." : `No window was explained: ${data.about.why_none}.`;
    const gap = Number.isFinite(found.gap) ? `Relevance sums to the target ${number(found.target)} with a gap of ${number(100 * found.gap, 2)} %.` : "The target is 0, so that the gap of relevance is undefined.";
    if (kind === "anomaly") return `Red marks what differs from the nearest normal windows. ${gap}`;
    const own = data.clusterName(found.cluster), where = data.cluster[window] < 0 ? "in" : "outside";
    const other = found.reference === null ? `Compared with the most similar windows of the study ${where} ${own}.` : `Dotted: window ${found.reference}, the most similar one ${where} ${own}.`;
    const signs = data.cluster[window] < 0 ? `Noise; the nearest cluster is ${own}: blue keeps this window out of it, red speaks for it.` : `Red supports ${own}, blue opposes it, beside similar windows outside it.`;
    return `${signs} ${other} ${found.encoders > 1 ? `Mean over ${found.encoders} encoders` : "By one encoder"}. ${gap}`;
  }
}

function heat(data, lane, channels, times, cell, title) {
  const rows = [...channels].reverse(), z = rows.map((channel) => times.map((_, t) => cell(channel, t)));
  const sizes = z.flat().filter(Number.isFinite).map(Math.abs).sort((a, b) => a - b);
  const limit = sizes[Math.floor(0.998 * (sizes.length - 1))] || 1;
  return {
    type: "heatmap", x: times, y: rows.map((channel) => lane.place.get(channel)), z, zmin: -limit, zmax: limit, colorscale: RELEVANCE_COLOURS,
    colorbar: { title: { text: title, side: "right" }, thickness: 9, x: 1.01, outlinewidth: 0, len: 0.95 }, hovertemplate: `%{x:.3f} ${data.about.window_clock.unit}: %{z:.3g} %<extra></extra>`,
  };
}

function laneLine(data, lane, channel, times, value, changes = {}) {
  const values = times.map((_, t) => value(t));
  return {
    type: "scatter", mode: "lines", x: times, y: values.map((v) => lane.of(channel, v)), customdata: values, line: { width: 1.2, color: "#111" },
    text: plain(data.channelName(channel), 60), hovertemplate: `%{text}<br>%{customdata:.4g} at %{x:.3f} ${data.about.window_clock.unit}<extra></extra>`, ...changes,
  };
}

function laneLayout(lane, n, title) {
  return layout({
    height: Math.max(220, 60 + 34 * Math.min(n, 12) + 18 * Math.max(0, n - 12)), plot_bgcolor: "#f7f7f7", hovermode: "closest", margin: { l: lane.left, r: 74, t: 8, b: 36 },
    xaxis: axis({ title, showgrid: false, zeroline: false }), yaxis: { ...lane.axis, zeroline: false },
  });
}

// shares of channels, largest at the top, with intervals and an optional second quantity
function drawBars(div, data, rows, title, name, dots = null) {
  const sorted = [...rows].sort((a, b) => a.share - b.share).slice(-20), y = sorted.map((_, i) => i);
  const names = sorted.map((row) => plain(data.channelName(row.channel), 22)), l = leftOf(names);
  const traces = [{
    type: "bar", orientation: "h", x: sorted.map((row) => 100 * row.share), y, marker: { color: sorted.map((row) => (row.share < 0 ? "#2166ac" : "#b2182b")) },
    error_x: { type: "data", symmetric: false, array: sorted.map((row) => 100 * row.high), arrayminus: sorted.map((row) => 100 * row.low), color: css("--text"), thickness: 1.2, width: 3, visible: sorted.some((row) => row.high > 0) },
    text: sorted.map((row) => plain(data.channelName(row.channel), 60)), textposition: "none", hovertemplate: "%{text}<br>%{x:.1f} %<extra></extra>",
  }];
  const shape = layout({
    height: Math.max(220, 70 + 22 * sorted.length), xaxis: axis({ title, zeroline: true }), bargap: 0.3, margin: { l, r: 12, t: 8, b: 36 },
    yaxis: axis({ tickvals: y, ticktext: names, showgrid: false }),
  });
  if (dots) {
    traces.push({ type: "scatter", mode: "markers", x: sorted.map((row) => dots.of(row.channel)), y, xaxis: "x2", marker: { symbol: "diamond", size: 7, color: css("--text") }, hovertemplate: `${dots.title} %{x:.3g}<extra></extra>` });
    Object.assign(shape, { xaxis2: axis({ title: `◆ ${dots.title}`, overlaying: "x", side: "top", showgrid: false, rangemode: "tozero", tickmode: "auto", nticks: 6 }), margin: { l, r: 12, t: 40, b: 36 } });
  }
  draw(div, traces, shape, config(name));
}

// a button that opens a window or a cluster
function chip(text, what) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.textContent = text;
  Object.assign(button.dataset, what);
  return button;
}
