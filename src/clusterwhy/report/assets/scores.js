// How the scores are distributed, and the threshold that parts them.

const BINS = 48;

class ScoresView {
  constructor(div, data, state) {
    Object.assign(this, { div, data, state });
    const known = Array.from(data.score).filter(Number.isFinite);
    this.low = known.reduce((a, b) => Math.min(a, b), data.about.threshold);
    this.each = (known.reduce((a, b) => Math.max(a, b), data.about.threshold) - this.low) / BINS || 1;
    this.counts = new Array(BINS).fill(0);
    for (const score of known) this.counts[Math.min(BINS - 1, Math.floor((score - this.low) / this.each))] += 1;
    state.listen(["threshold", "theme"], () => this.draw());
  }

  draw() {
    const { threshold } = this.state.values, edges = this.counts.map((_, i) => this.low + i * this.each);
    const bars = {
      type: "bar", x: edges.map((edge) => edge + this.each / 2), y: this.counts, width: this.each,
      marker: { color: edges.map((edge) => css(edge + this.each / 2 > threshold ? "--alarm" : "--signal")), line: { width: 0 } },
      customdata: edges.map((edge) => `${number(edge)} to ${number(edge + this.each)}`), hovertemplate: "score %{customdata}: %{y} windows<extra></extra>",
    };
    const shape = layout({
      height: 120, bargap: 0, dragmode: false, margin: { l: 46, r: 8, t: 6, b: 34 },
      xaxis: axis({ title: "score", fixedrange: true, showgrid: false, zeroline: false }),
      yaxis: axis({ title: "windows", type: "log", fixedrange: true, dtick: 1, range: [-0.3, Math.log10(Math.max(2, ...this.counts)) + 0.1] }),
      shapes: [{ type: "line", x0: threshold, x1: threshold, yref: "paper", y0: 0, y1: 1, line: { width: 1.5, dash: "dash", color: css("--alarm") } }],
    });
    draw(this.div, [bars], shape, config("scores", { displayModeBar: false }));
  }
}
