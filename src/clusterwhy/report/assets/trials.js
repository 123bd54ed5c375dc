// Other settings, tried on the stored embeddings by the server: points are recoloured and moved, all else stays.

const GROUPS = { clusterer: "HDBSCAN", projection: "UMAP, takes seconds" };

class Trials {
  constructor(data, state, views, offer) {
    Object.assign(this, { data, state, views, offer, root: document.getElementById("trials"), banner: document.getElementById("tried") });
    for (const name of ["numbers", "clusterer", "projection", "run", "back", "busy", "cannot", "fault", "found", "says", "legend", "keep"]) this[name] = this.root.querySelector(`[data-part="${name}"]`);
    this.root.hidden = false;
    this.cannot.replaceChildren(...offer.cannot.map((text) => { const item = document.createElement("li"); item.textContent = text; return item; }));
    this.offerNumbers(offer.n_clusters, offer.own);
    this.inputs = offer.fields.map((field) => this.addField(field));
    this.run.hidden = !offer.fields.length;
    this.root.querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); this.send(this.asked()); });
    for (const button of [this.back, this.banner.querySelector("button")]) button.addEventListener("click", () => this.forget());
  }

  offerNumbers(numbers, own) {
    const slider = this.numbers.querySelector("input"), words = this.numbers.querySelector("output");
    this.numbers.hidden = numbers.length < 2;
    this.slider = slider;
    slider.max = numbers.length - 1;
    const tell = () => {
      const n = numbers[Number(slider.value)];
      words.textContent = n;
      slider.setAttribute("aria-valuetext", `${n} clusters`);
    };
    this.unchosen = () => {
      slider.value = Math.min(numbers.length - 1, lowerBound(numbers, own));
      tell();
    };
    slider.addEventListener("input", () => { tell(); this.send({ n_clusters: numbers[Number(slider.value)] }); });
    this.unchosen();
  }

  addField({ group, name, says, value, choices }) {
    const label = document.createElement("label"), input = document.createElement(choices.length ? "select" : "input"), row = this[group];
    if (!row.children.length) { const title = document.createElement("span"); title.textContent = `${GROUPS[group]}:`; title.className = "note"; row.append(title); }
    if (choices.length) input.replaceChildren(...choices.map((choice) => new Option(choice, choice)));
    else Object.assign(input, { type: "number", step: "any", inputMode: "decimal", required: true });
    Object.assign(input, { name: `${group}.${name}`, value });
    label.title = `${group}.${name}`;
    label.append(`${says} `, input);
    row.append(label);
    return { group, name, input, value: () => (choices.length ? input.value : input.valueAsNumber), reset: () => { input.value = value; } };
  }

  asked() {
    const found = { clusterer: {}, projection: {} };
    for (const { group, name, value } of this.inputs) found[group][name] = value();
    return found;
  }

  // one at a time: while the server is busy, only the last request is remembered
  async send(asked) {
    this.next = asked;
    // what is not asked shows the study's
    if (asked.n_clusters === undefined) this.unchosen(); else for (const { reset } of this.inputs) reset();
    if (this.sending) return;
    this.sending = true;
    for (let now = asked; now; now = this.next) {
      this.next = null;
      await this.one(now);
    }
    this.sending = false;
  }

  async one(asked) {
    const began = performance.now(), seconds = () => ((performance.now() - began) / 1000).toFixed(0);
    const clock = setInterval(() => { this.busy.textContent = `computing, ${seconds()} s …`; }, 300);
    this.run.disabled = true;
    this.fault.hidden = true;
    try {
      const found = await post("try", asked), arrays = await unpackAll(found.arrays);
      if (!this.dropped) this.show(found, arrays);
    } catch (error) {
      this.fault.textContent = `not tried: ${error.message}`;
      this.fault.hidden = false;
    }
    this.dropped = false;
    clearInterval(clock);
    this.busy.textContent = "";
    this.run.disabled = false;
  }

  show(found, arrays) {
    const { data } = this, [cluster, x, y] = ["cluster", "x", "y"].map((name) => arrays[`tried_${name}`]?.values), colours = new Map(found.clusters.map((one) => [one.cluster, one.colour]));
    data.shown = { cluster, x: x || data.x, y: y || data.y, clusters: [...colours.keys()].filter((c) => c >= 0), colour: (c) => colours.get(c) || data.about.noise_colour, moved: x ? (this.moved = (this.moved || 0) + 1) : 0 };
    const ami = found.ami === null ? "undefined: both are one cluster" : found.ami.toFixed(2), noise = Math.round(100 * found.noise_share);
    this.says.textContent = `${count(found.n_clusters, "cluster")}, ${noise} % noise. Agreement with the study's clusters (adjusted mutual information; 1: the same, 0: chance): ${ami}.`;
    this.legend.replaceChildren("Colours are those of the study's clusters that share the most windows: ", ...found.clusters.slice(0, MOST_IN_LEGEND).map((one) => {
      const entry = document.createElement("span"), dot = document.createElement("span");
      dot.className = "dot";
      dot.style.background = one.colour;
      entry.append(dot, `${one.cluster < 0 ? "noise" : one.cluster} (${count(one.n_windows, "window")}) `);
      return entry;
    }), found.clusters.length > MOST_IN_LEGEND ? `and ${found.clusters.length - MOST_IN_LEGEND} more` : "");
    const code = (text) => Object.assign(document.createElement("code"), { textContent: text });
    this.keep.replaceChildren(...(found.overrides ? ["To keep them: ", code(found.overrides), ` in ${found.files.join(" and ")}, then `, code("dvc repro"), "."] : ["These are the settings of the study."]));
    this.found.hidden = false;
    this.banner.querySelector("span").textContent = `Tried, not the study's: ${count(found.n_clusters, "cluster")}, agreement ${ami}. Points and the strip "tried" show them.`;
    this.banner.hidden = this.back.disabled = false;
    this.redraw();
  }

  forget() {
    this.next = null;
    this.dropped = this.sending;
    this.found.hidden = this.banner.hidden = this.fault.hidden = true;
    this.back.disabled = true;
    for (const { reset } of this.inputs) reset();
    this.unchosen();
    this.data.shown = this.data.ofStudy();
    this.redraw();
  }

  redraw() {
    if (this.data.tried && this.state.values.colour !== "cluster") this.state.set({ colour: "cluster" });
    for (const view of this.views) view.draw();
  }
}
