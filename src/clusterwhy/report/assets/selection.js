// The selected windows: the most central one, the mean relevance of their channels, and differences to other windows.

const FIRST_PART = 4; // windows, after which it is known how long all take
const PART_SECONDS = 2; // of one request: how often progress is shown, and how late another explanation may begin
const LONG = 10; // seconds from which on the page says before how long it takes
const MAX_COMPARED = 400; // windows of a selection among which the most central one is sought

class SelectionView {
  constructor(root, data, state) {
    Object.assign(this, { data, state });
    for (const name of ["plot", "bars", "title", "note"]) this[name] = root.querySelector(`[data-part="${name}"]`);
    for (const name of ["asking", "rules", "ask", "stop", "bar", "foretold", "answer", "asked_plot", "asked_bars"]) this[name] = root.querySelector(`[data-part="${name}"]`);
    state.listen(["selected"], () => { this.cancel(); delete data.rows.asked; this.answer.textContent = ""; });
    state.listen(["selected", "other", "contrast", "hiddenChannels", "theme"], () => this.draw());
    this.pace = new Map(); // rules -> seconds per window, once known
    const served = JSON.parse(document.getElementById("served")?.textContent || "null");
    if (served) this.offer(served);
  }

  // only if the page is served by pipeline.serve
  offer({ rules, most }) {
    this.most = most;
    this.asking.hidden = false;
    this.rules.replaceChildren(...rules.map((name) => new Option(name, name)));
    this.rules.addEventListener("change", () => this.foretell());
    this.ask.addEventListener("click", () => this.explain());
    this.stop.addEventListener("click", () => this.cancel());
  }

  // all windows of the selection in parts, in a random order, so that those explained when it is cancelled are a fair draw
  async explain() {
    const { data, state } = this, windows = state.values.selected, rest = shuffled(windows), rules = this.rules.value, began = performance.now();
    const run = this.run = {}, ended = new Promise((resolve) => { run.end = resolve; }), losses = new Map(), gaps = [], seconds = () => (performance.now() - began) / 1000;
    delete data.rows.asked;
    this.drawAsked();
    this.showRun(true);
    let at = 0, size = Math.min(FIRST_PART, this.most), drawn = 0, fault = "";
    this.progress(0, windows.length, "");
    while (at < rest.length && this.run === run && !fault) {
      try {
        const part = rest.slice(at, at + size);
        const found = await Promise.race([this.explainPart(windows, part, rules), ended]);
        if (this.run !== run) break;
        data.keep(found.arrays);
        gaps.push(...found.arrays.asked_gap.values);
        // parts tell of the same loss in other figures: that of the largest part is shown
        for (const text of found.losses) {
          const kind = text.replace(/[\d.]+/g, "");
          if (!(losses.get(kind)?.of > part.length)) losses.set(kind, { text, of: part.length });
        }
        at += part.length;
        const each = seconds() / at;
        this.pace.set(rules, each);
        size = Math.max(1, Math.min(this.most, Math.round(PART_SECONDS / each)));
        this.progress(at, rest.length, `, about ${duration(each * (rest.length - at))} left`);
        if (seconds() - drawn > PART_SECONDS) { drawn = seconds(); this.drawAsked(); }
      } catch (error) {
        fault = error.message;
      }
    }
    if (state.values.selected !== windows) return; // of another selection
    const known = gaps.map(Math.abs).filter(Number.isFinite).sort((a, b) => a - b), which = at < rest.length ? `${at} of ` : "";
    const told = `${rules}: relevance of ${which}${count(rest.length, "selected window")}${which ? ", drawn at random," : ""} compared with all others. Median gap of relevance ${known.length ? `${number(100 * known[known.length >> 1], 2)} %` : "undefined (all targets are 0)"}; ${seconds().toFixed(1)} s.${[...losses.values()].map(({ text, of }) => ` ${of < at ? `Of ${count(of, "window")}, ` : ""}${text}.`).join("")}`;
    this.answer.textContent = [...(fault ? [`not explained: ${fault}.`] : []), ...(at ? [told] : fault ? [] : ["cancelled"])].join(" ");
    this.run = null;
    this.showRun(false);
    this.draw();
  }

  // the part that is being explained ends on the server; the page does not wait for it
  cancel() {
    if (!this.run) return;
    this.run.end();
    this.run = null;
    this.showRun(false);
  }

  async explainPart(windows, part, rules) {
    const found = await post("explain", { windows, part, rules });
    return { ...found, arrays: await unpackAll(found.arrays) };
  }

  showRun(running) {
    this.stop.hidden = this.bar.hidden = !running;
    this.rules.disabled = running;
    this.ask.disabled = running;
    this.foretold.hidden = running;
  }

  progress(at, all, left) {
    Object.assign(this.bar, { value: at, max: all });
    this.answer.textContent = `explained ${at} of ${count(all, "window")}${left} …`;
  }

  // how long a selection would take, where that is known and long
  foretell() {
    const each = this.pace.get(this.rules.value), all = (each || 0) * this.state.values.selected.length;
    this.foretold.textContent = all > LONG ? `takes about ${duration(all)}; it can be cancelled` : "";
  }

  drawAsked() {
    const { data } = this, there = Boolean(data.rows.asked);
    this.asked_plot.hidden = this.asked_bars.hidden = !there;
    if (!there) return;
    const channels = this.state.channels(), windows = [...data.rows.asked.keys()], found = this.together(windows, "asked");
    this.lanesOf(this.asked_plot, this.central(windows, "asked"), null, "asked");
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
    this.ask.disabled = Boolean(this.run) || selected.length < 2 || selected.length === data.nWindows;
    this.foretell();
    this.drawAsked();
    if (!selected.length) {
      this.title.textContent = "No windows selected";
      this.note.textContent = "Select points of the projection with the lasso, or drag along the series.";
      return;
    }
    const channels = this.state.channels();
    const own = this.together(selected), beside = others.length ? this.together(others) : null;
    const less = { none: "", rest: " minus all others", other: " minus selection B" }[contrast];
    const window = this.central(selected), dotted = others.length ? this.central(others) : null;
    this.title.textContent = `${count(selected.length, "window")} selected${this.counts(selected)}`;
    this.note.textContent = this.said(own, beside, others, window, dotted);
    this.lanesOf(this.plot, window, dotted, "explained");
    const shares = channels.map((channel) => this.share(own, beside, channel)), dots = data.hasMoments(() => this.draw()) ? { title: "RMS of z", of: (channel) => own.rms(channel) } : null;
    this.bars.hidden = !own.nExplained;
    if (own.nExplained) drawBars(this.bars, data, shares, `relevance${less} (% of |relevance|)`, "selection_channels", dots);
  }

  // the window with the least sum of distances to the others in the projection; of explained ones, where there are any
  central(windows, kind = "explained") {
    const { x, y, rows } = this.data, thin = (all) => all.filter((_, i) => i % Math.ceil(all.length / MAX_COMPARED) === 0);
    const explained = windows.filter((w) => rows[kind].has(w)), others = thin(windows);
    const far = (w) => others.reduce((sum, v) => sum + Math.hypot(x[w] - x[v], y[w] - y[v]), 0);
    const asked = thin(explained.length ? explained : windows), sums = asked.map(far);
    return asked[sums.indexOf(Math.min(...sums))];
  }

  // one window over its relevance, dotted another one; drawn again when what is in files beside the page has arrived
  lanesOf(div, window, dotted, kind) {
    const { data } = this, channels = this.state.channels(), lane = lanes(data, channels), times = data.times(), traces = [], found = data.relevance(window, kind);
    const line = (w, changes) => { if (w !== null && data.hasValues(w)) traces.push(...channels.map((channel) => laneLine(data, lane, channel, times, (t) => data.value(w, channel, t), changes))); };
    if (found && found.known) traces.push(heat(data, lane, channels, times, (channel, t) => 100 * found.cell(channel, t), "relevance<br>(% of |relevance|)"));
    line(dotted, { line: { width: 1.2, color: "#555", dash: "dot" } });
    line(window);
    draw(div, traces, laneLayout(lane, channels.length, `time in the window (${data.about.window_clock.unit})`), config(kind === "asked" ? "asked" : "selection"));
    const { selected } = this.state.values, again = (there) => { if (there && this.state.values.selected === selected) this.draw(); };
    for (const w of [window, dotted]) if (w !== null && !data.hasValues(w)) data.needValues(w).then(again);
    if (found && !found.known) data.needCells([window]).then(again);
  }

  counts(selected) {
    const found = new Map();
    for (const window of selected) found.set(this.data.cluster[window], (found.get(this.data.cluster[window]) || 0) + 1);
    const sorted = [...found].sort((a, b) => b[1] - a[1]).slice(0, 4);
    return `: ${sorted.map(([cluster, n]) => `${n} of ${this.data.clusterName(cluster)}`).join(", ")}${found.size > 4 ? ", …" : ""}`;
  }

  said(own, beside, others, window, dotted) {
    const lines = [`Line: window ${window}, the most central one in the projection${own.nExplained ? ", over its own relevance" : ""}.`];
    lines.push(own.nExplained ? `Bars: mean of the ${count(own.nExplained, "explained window")}, each for its own cluster, noise for the nearest one, with 95 % intervals over windows (another training may differ by more).` : "None of them was explained, so there is no relevance.");
    if (beside) lines.push(`Dotted: window ${dotted}, the most central one of ${this.state.values.contrast === "rest" ? "the others" : "the kept selection B"} (${count(others.length, "window")}, ${beside.nExplained} explained).`);
    if (this.state.values.contrast === "other" && !others.length) lines.push("Selection B is empty.");
    return lines.join(" ");
  }

  // relevance of the channels of the explained windows among some, and how far all of them are from the mean
  together(windows, kind = "explained") {
    const { data } = this, explained = windows.map((w) => data.relevance(w, kind)).filter((found) => found !== null);
    return {
      nExplained: explained.length,
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
}

// mean and its standard error
function mean(values) {
  const n = values.length, middle = values.reduce((a, b) => a + b, 0) / Math.max(1, n);
  const squares = values.reduce((total, value) => total + (value - middle) ** 2, 0);
  return { mean: middle, error: n > 1 ? Math.sqrt(squares / (n - 1) / n) : 0 };
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

// the same order each time (Fisher-Yates with the generator of Park and Miller)
function shuffled(windows) {
  const found = [...windows];
  let draw = 1;
  for (let i = found.length - 1; i > 0; i--) {
    draw = (draw * 48271) % 2147483647;
    const j = draw % (i + 1);
    [found[i], found[j]] = [found[j], found[i]];
  }
  return found;
}
