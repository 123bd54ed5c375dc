// Shared by all plots.

const RELEVANCE_COLOURS = [[0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f7f7f7"], [0.75, "#f4a582"], [1, "#b2182b"]];
const CONFIG = {
  displaylogo: false, responsive: true, doubleClick: "reset", plotlyServerURL: "",
  modeBarButtonsToRemove: ["sendChartToCloud", "autoScale2d", "hoverClosestCartesian", "hoverCompareCartesian", "toggleSpikelines"],
};

// Plotly takes two seconds to start; loaded from a blob, it is compiled in parallel while the page is shown
function startPlotly() {
  const text = document.getElementById("plotly"), script = document.createElement("script");
  const address = URL.createObjectURL(new Blob([text.textContent], { type: "text/javascript" }));
  text.remove();
  return new Promise((resolve, reject) => {
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error("Plotly did not start")));
    script.src = address;
    document.head.append(script);
  }).finally(() => { script.remove(); URL.revokeObjectURL(address); });
}

// escapes and shortens names from data, since Plotly interprets some HTML
function plain(name, limit = 28) {
  const line = String(name).replace(/\s+/g, " ").trim(), letters = Array.from(line);
  const tail = Math.floor((limit - 1) / 2);
  const short = letters.length > limit ? [...letters.slice(0, limit - 1 - tail), "…", ...letters.slice(-tail)].join("") : line;
  return short.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

// "1 window", "2 windows"
function count(n, what) { return `${n} ${what}${n === 1 ? "" : "s"}`; }

function css(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

function axis(changes = {}) {
  return {
    gridcolor: css("--grid"), zerolinecolor: css("--grid"), linecolor: css("--line"), tickcolor: css("--line"),
    ticks: "outside", ticklen: 3, ...changes, title: { standoff: 6, font: { size: 12 }, text: changes.title || "" },
  };
}

function layout(changes) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: css("--plot"), font: { color: css("--text"), size: 11, family: "system-ui, sans-serif" },
    margin: { l: 46, r: 12, t: 8, b: 36 }, showlegend: false, hoverlabel: { align: "left" },
    modebar: { color: css("--soft"), activecolor: css("--accent"), bgcolor: "rgba(0,0,0,0)" }, ...changes,
  };
}

// left margin for tick labels; Plotly's own `automargin` draws everything twice
function leftOf(texts, least = 46) {
  const pen = leftOf.pen || (leftOf.pen = document.createElement("canvas").getContext("2d"));
  pen.font = "11px system-ui, sans-serif";
  const shown = texts.map((text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&"));
  return Math.max(least, 10 + Math.ceil(Math.max(...shown.map((text) => pen.measureText(text).width))));
}

function config(name, changes = {}) {
  return { ...CONFIG, toImageButtonOptions: { format: "svg", filename: `clusterwhy_${name}` }, ...changes };
}

function draw(div, traces, shape, settings) {
  const first = !div.data;
  return Plotly.react(div, traces, shape, settings).then(() => first);
}

function number(value, digits = 3) {
  return Number.isFinite(value) ? String(Number(value.toPrecision(digits))) : "unknown";
}

function percent(value) { return `${value >= 0 ? "+" : "−"}${Math.abs(100 * value).toFixed(0)} %`; }

// one lane per channel from top to bottom: positions, and an axis with the names
function lanes(data, channels) {
  const place = new Map(channels.map((channel, i) => [channel, channels.length - 1 - i]));
  const names = channels.map((channel) => plain(data.channelName(channel), 22));
  return {
    of: (channel, value) => {
      const [low, high] = data.about.ranges[channel];
      return place.get(channel) + 0.86 * ((value - low) / (high - low) - 0.5);
    },
    place,
    left: leftOf(names),
    axis: axis({
      tickvals: channels.map((channel) => place.get(channel)), ticktext: names,
      // otherwise Plotly measures every label, to hide those that leave the plot
      range: [-0.6, channels.length - 0.4], ticklabeloverflow: "allow", fixedrange: true, showgrid: false, zeroline: false,
    }),
  };
}

// a colour scale with one constant colour per integer
function steps(colours) {
  return colours.flatMap((colour, i) => [[i / colours.length, colour], [(i + 1) / colours.length, colour]]);
}

const LABEL_COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999999"];

function labelColour(code) { return LABEL_COLOURS[code % LABEL_COLOURS.length]; }

// the colour of a label in a strip, where its name is written on it: pale, so that it is not taken for a cluster's
function labelTint(code) {
  const parts = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)), ground = parts(css("--plot"));
  return `rgb(${parts(labelColour(code)).map((part, i) => Math.round(0.4 * part + 0.6 * ground[i])).join(",")})`;
}
