// Names and notes of clusters and segments: shown wherever they are meant, and changed where the page is served.

class Naming {
  constructor(data, views, served) {
    Object.assign(this, { data, views, dialog: document.getElementById("naming"), said: document.getElementById("naming_said") });
    for (const name of ["name", "note", "save", "cancel", "fault"]) this[name] = this.dialog.querySelector(`[data-part="${name}"]`);
    this.show();
    if (served?.named || served?.fault) this.offer(served);
  }

  // every place that names a cluster, its note, and the table of segments
  show() {
    const { data } = this, { clusters, segments } = data.about.named;
    for (const one of document.querySelectorAll("[data-named]")) {
      const cluster = Number(one.dataset.named), { noun } = one.dataset;
      one.textContent = clusters[cluster]?.name || `${noun} ${cluster}`;
    }
    for (const one of document.querySelectorAll("[data-number]")) one.hidden = !clusters[one.dataset.number]?.name;
    for (const one of document.querySelectorAll("[data-remark]")) {
      const note = clusters[one.dataset.remark]?.note || "";
      one.textContent = note;
      one.hidden = !note;
    }
    const table = document.getElementById("segment_notes");
    table.hidden = !segments.length;
    if (segments.length) for (const id of ["events", "to_events"]) document.getElementById(id).hidden = false;
    table.querySelector("tbody").replaceChildren(...segments.map((one, i) => this.row(one, i)));
  }

  row([start, stop, name, note], i) {
    const { data } = this, row = document.createElement("tr"), cells = [0, 1, 2].map(() => row.insertCell());
    cells[0].append(chip(name || "note", { segment: i }));
    cells[1].textContent = data.formatRange(data.time(start), data.time(stop - 1));
    cells[2].textContent = note;
    cells[2].className = "remark";
    if (this.served) {
      const button = chip("change", {});
      button.addEventListener("click", () => this.open({ segment: [start, stop - 1] }, name, note));
      cells[2].append(" ", button);
    }
    return row;
  }

  // only if the page is served by pipeline.serve
  offer({ fault }) {
    this.served = true;
    if (fault) this.tell(fault);
    for (const button of document.querySelectorAll("[data-rename]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const cluster = Number(button.dataset.rename), own = this.data.about.named.clusters[cluster];
        this.open({ cluster }, own?.name || "", own?.note || "");
      });
    }
    this.save.addEventListener("click", () => this.send());
    this.cancel.addEventListener("click", () => this.dialog.close());
    this.name.addEventListener("keydown", (event) => { if (event.key === "Enter") this.send(); });
    this.show();
  }

  // a button that notes something on the time of the selected windows, where they follow one another
  offerSegment(button, state) {
    const stretch = () => {
      const { selected } = state.values, { data } = this, last = selected[selected.length - 1];
      if (!this.served || !selected.length || last - selected[0] !== selected.length - 1) return null;
      return data.breakBetween(data.start[selected[0]], data.start[last]) ? null : [data.start[selected[0]], data.start[last] + data.length - 1];
    };
    const reflect = () => { button.hidden = !stretch(); };
    state.listen(["selected"], reflect);
    button.addEventListener("click", () => this.open({ segment: stretch() }, "", ""));
    reflect();
  }

  open(what, name, note) {
    const { data } = this;
    this.asked = what;
    const of = what.segment ? data.formatRange(data.time(what.segment[0]), data.time(what.segment[1])) : `cluster ${what.cluster}`;
    this.dialog.querySelector("h3").textContent = `Name and note of ${of}`;
    Object.assign(this.name, { value: name });
    Object.assign(this.note, { value: note });
    this.fault.hidden = true;
    this.dialog.showModal();
  }

  async send() {
    this.save.disabled = true;
    try {
      const found = await post("name", { ...this.asked, name: this.name.value, note: this.note.value });
      this.data.about.named = found;
      this.dialog.close();
      this.show();
      for (const view of this.views) view.draw();
      this.tell(["Written to annotations.yaml; pictures, sentences and tables follow with `dvc repro`.", ...found.told].join(" "));
    } catch (error) {
      this.fault.textContent = `not written: ${error.message}`;
      this.fault.hidden = false;
    }
    this.save.disabled = false;
  }

  tell(text) {
    this.said.textContent = text;
    this.said.hidden = false;
  }
}

// windows whose centre lies in one of some intervals [first sample, sample after the last], in order
function windowsIn(data, intervals) {
  const half = Math.floor(data.length / 2), found = new Set();
  for (const [first, stop] of intervals) {
    const last = lowerBound(data.start, stop - half);
    for (let window = lowerBound(data.start, first - half); window < last; window++) found.add(window);
  }
  return [...found].sort((a, b) => a - b);
}
