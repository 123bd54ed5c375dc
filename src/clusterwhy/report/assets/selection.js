// The selected windows: mean values, mean relevance, and differences to other windows.

const MAX_CELLS_OF_SELECTION = 8; // windows drawn from each selection whose relevance is in files beside the page

class SelectionView {
  constructor(root, data, state) {
    Object.assign(this, { data, state });
    for (const name of ["plot", "bars", "title", "note"]) this[name] = root.querySelector(`[data-part="${name}"]`);
    for (const name of ["asking", "rules", "ask", "answer", "asked_plot", "asked_bars"]) this[name] = root.querySelector(`[data-part="${name}"]`);
    state.listen(["selected"], () => { delete data.rows.asked; this.answer.textContent = ""; });
    state.listen(["selected", "other", "contrast", "hiddenChannels", "theme"], () => this.draw());
    const served = document.getElementById("served");
    if (served) this.offer(JSON.parse(served.textContent).rules);
  }

  // only if the page is served by pipeline.serve
  offer(rules) {
    this.asking.hidden = false;
    this.rules.replaceChildren(...rules.map((name) => new Option(name, name)));
    this.ask.addEventListener("click", async () => {
      const windows = this.state.values.selected, began = performance.now();
      this.ask.disabled = true;
      this.answer.textContent = "explaining …";
      try {
        const sent = await fetch("explain", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ windows, rules: this.rules.value }) });
        const found = await sent.json();
        if (!sent.ok) throw new Error(found.error);
        await this.data.add(found.arrays);
        const gaps = Array.from(this.data.arrays.asked_gap.values, Math.abs), known = gaps.filter(Number.isFinite).sort((a, b) => a - b);
        this.answer.textContent = `${this.rules.value}: relevance of ${gaps.length} selected windows compared with all others. Median gap of relevance ${known.length ? `${number(100 * known[known.length >> 1], 2)} %` : "undefined (all targets are 0)"}; ${((performance.now() - began) / 1000).toFixed(1)} s.${found.losses.map((loss) => ` ${loss}.`).join("")}`;
      } catch (error) {
        this.answer.textContent = `not explained: ${error.message}`;
      }
      this.draw();
    });
  }

  drawAsked() {
    const { data } = this, there = Boolean(data.rows.asked);
    this.asked_plot.hidden = this.asked_bars.hidden = !there;
    if (!there) return;
    const channels = this.state.channels();
    const found = this.together([...data.rows.asked.keys()], channels, "asked"), lane = lanes(data, channels);
    const times = data.times();
    draw(this.asked_plot, [heat(data, lane, channels, times, (channel, t) => 100 * found.cell(channel, t), "mean relevance<br>(% of |relevance|)")], laneLayout(lane, channels.length, `time in the window (${data.about.window_clock.unit})`), config("asked"));
    drawBars(this.asked_bars, data, channels.map((channel) => this.share(found, null, channel)), "relevance of the selection (% of |relevance|)", "asked_channels");
  }

  against() {
    const { selected, other, contrast } = this.state.values;
    if (contrast === "other") return other;
    if (contrast !== "rest") return [];
    const own = new Set(selected);
    return Array.from(this.data.start.keys()).filter((window) => !own.has(window));
  }

  draw() {
    const { data } = this, { selected, contrast } = this.state.values, others = this.against();
    this.plot.hidden = this.bars.hidden = !selected.length;
    this.ask.disabled = selected.length < 2 || selected.length === data.nWindows;
    this.drawAsked();
    if (!selected.length) {
      this.title.textContent = "No windows selected";
      this.note.textContent = "Select points of the projection with the lasso, or drag along the series.";
      return;
    }
    const channels = this.state.channels();
    this.loadCells(selected, others);
    const own = this.together(selected, channels), beside = others.length ? this.together(others, channels) : null;
    const less = { none: "", rest: " minus all others", other: " minus selection B" }[contrast];
    this.title.textContent = `${selected.length} windows selected${this.counts(selected)}`;
    this.note.textContent = this.said(own, beside, selected, others, contrast);
    const lane = lanes(data, channels), times = data.times(), traces = [];
    if (own.nCells && (!beside || beside.nCells)) {
      traces.push(heat(data, lane, channels, times, (channel, t) => 100 * (own.cell(channel, t) - (beside ? beside.cell(channel, t) : 0)), `mean relevance${less ? `,<br>${less.trim()}` : ""}<br>(% of |relevance|)`));
    }
    if (own.nValues) {
      for (const channel of channels) {
        traces.push(this.band(own, lane, channel, times));
        if (beside && beside.nValues) traces.push(laneLine(data, lane, channel, times, (t) => beside.mean(channel, t), { line: { width: 1.2, color: "#555", dash: "dot" } }));
        traces.push(laneLine(data, lane, channel, times, (t) => own.mean(channel, t)));
      }
    }
    draw(this.plot, traces, laneLayout(lane, channels.length, `time in the window (${data.about.window_clock.unit})`), config("selection"));
    const shares = channels.map((channel) => this.share(own, beside, channel)), dots = data.hasMoments(() => this.draw()) ? { title: "RMS of z", of: (channel) => own.rms(channel) } : null;
    this.bars.hidden = !own.nExplained;
    if (own.nExplained) drawBars(this.bars, data, shares, `relevance${less} (% of |relevance|)`, "selection_channels", dots);
  }

  // draws again when cells in files beside the page have arrived; of many windows, as many as are kept in memory
  loadCells(selected, others) {
    const { data } = this;
    if (!data.cells) return;
    const few = (windows) => windows.filter((_, i) => i % Math.ceil(windows.length / MAX_CELLS_OF_SELECTION) === 0);
    const missing = [...few(selected), ...few(others)].filter((window) => data.relevance(window, "explained")?.known === false);
    if (missing.length) data.needCells(missing).then((there) => { if (there && this.state.values.selected === selected) this.draw(); });
  }

  counts(selected) {
    const found = new Map();
    for (const window of selected) found.set(this.data.cluster[window], (found.get(this.data.cluster[window]) || 0) + 1);
    const sorted = [...found].sort((a, b) => b[1] - a[1]).slice(0, 4);
    return `: ${sorted.map(([cluster, n]) => `${n} of ${this.data.clusterName(cluster)}`).join(", ")}${found.size > 4 ? ", …" : ""}`;
  }

  said(own, beside, selected, others, contrast) {
    const lines = [`Line: mean of ${own.nValues === selected.length ? "all windows" : `the ${own.nValues} windows with values in the page`}; grey: its 95 % interval.`];
    lines.push(own.nExplained ? `Relevance: mean of the ${own.nExplained} explained windows, each for its own cluster, noise for the nearest one; bars with 95 % intervals over windows (another training may differ by more).` : "None of them was explained, so there is no relevance.");
    if (beside) lines.push(`Dotted: mean of the ${contrast === "rest" ? "others" : "kept selection B"} (${others.length} windows, ${beside.nExplained} explained).`);
    if (contrast === "other" && !others.length) lines.push("Selection B is empty.");
    return lines.join(" ");
  }

  // mean values of windows, and mean relevance of the explained ones
  together(windows, channels, kind = "explained") {
    const { data } = this, { length } = data, size = data.nChannels * length;
    const sum = new Float64Array(size), squares = new Float64Array(size), valued = windows.filter((w) => data.hasValues(w));
    for (const channel of channels) {
      for (const window of valued) {
        for (let t = 0, at = channel * length; t < length; t++, at++) {
          const value = data.value(window, channel, t);
          sum[at] += value;
          squares[at] += value * value;
        }
      }
    }
    const explained = windows.map((w) => data.relevance(w, kind)).filter((found) => found !== null), cells = new Float64Array(size);
    const known = explained.filter((found) => found.known);
    for (const found of known) {
      for (const channel of channels) for (let t = 0, at = channel * length; t < length; t++, at++) cells[at] += found.cell(channel, t) || 0;
    }
    const n = valued.length, mean = (channel, t) => sum[channel * length + t] / n;
    return {
      nValues: n, nExplained: explained.length, nCells: known.length, mean,
      error: (channel, t) => (n > 1 ? 1.96 * Math.sqrt(Math.max(0, squares[channel * length + t] / n - mean(channel, t) ** 2) / (n - 1)) : 0),
      cell: (channel, t) => cells[channel * length + t] / Math.max(1, known.length),
      shares: (channel) => explained.map((found) => found.channel(channel)),
      rms: (channel) => Math.sqrt(windows.reduce((total, w) => total + data.moment("mean", channel, w) ** 2 + data.moment("deviation", channel, w) ** 2, 0) / windows.length),
    };
  }

  // mean share of a channel, or its difference, with half the width of its 95 % interval
  share(own, beside, channel) {
    const first = mean(own.shares(channel)), second = beside && beside.nExplained ? mean(beside.shares(channel)) : { mean: 0, error: 0 };
    const half = 1.96 * Math.hypot(first.error, second.error);
    return { channel, share: first.mean - second.mean, low: half, high: half };
  }

  band(own, lane, channel, times) {
    const edge = (sign) => times.map((_, t) => lane.of(channel, own.mean(channel, t) + sign * own.error(channel, t)));
    return { type: "scatter", mode: "lines", x: [...times, ...[...times].reverse()], y: [...edge(1), ...edge(-1).reverse()], fill: "toself", fillcolor: "rgba(60,60,60,0.25)", line: { width: 0 }, hoverinfo: "skip" };
  }
}

// mean and its standard error
function mean(values) {
  const n = values.length, middle = values.reduce((a, b) => a + b, 0) / Math.max(1, n);
  const squares = values.reduce((total, value) => total + (value - middle) ** 2, 0);
  return { mean: middle, error: n > 1 ? Math.sqrt(squares / (n - 1) / n) : 0 };
}
