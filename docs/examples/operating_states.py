"""From clusters to the channels behind them, After `make repro`: `python docs/examples/operating_states.py`.

Cells start with `# %%`: VS Code, Spyder and PyCharm run them one by one, Jupytext opens the file as a notebook.
"""

# %% What `make repro` has made: every artifact is checked first
from pathlib import Path

import numpy as np
import pandas as pd

from clusterwhy import Study

out = Path("outputs/examples/operating_states")
out.mkdir(parents=True, exist_ok=True)
study = Study.load("artifacts")
print(study)
print(study.clusters[["n_windows", "share", "first", "last"]])

# %% The projection by cluster and by score, the series with its anomalies: figures that a notebook shows
for colour in ("cluster", "score"):
    study.projection(colour).write_html(out / f"projection_{colour}.html", include_plotlyjs="cdn")
study.series().write_html(out / "series.html", include_plotlyjs="cdn")

# %% A selection: windows of the first cluster. In a notebook, `study.lasso().selected` gives ids of windows
cluster = int(study.clusters.index[study.clusters.index >= 0][0])
selected = study.windows.index[study.windows["cluster"] == cluster][:8]

# %% Which channels speak for it, by different rules: per cent of all relevance, and the two leading channels
options = {
    "the study's own": {},
    "epsilon, plus, flat": {"composite": "epsilon_plus_flat"},
    "epsilon, gamma, box": {"composite": "epsilon_gamma_box"},
    "smooth LRP": {"method": "smooth(n_samples=5)"},
    "SmoothGrad": {"method": "smoothgrad(samples=10)"},
}
shares = {}
for name, how in options.items():
    found = study.relevance(selected, **how)
    size = np.abs(found.values).sum(axis=(0, 2))
    shares[name] = pd.Series(100 * size / size.sum(), index=found.channels)
table = pd.DataFrame(shares).round(1)
print(table.to_string())
print(table.apply(lambda column: ", ".join(column.nlargest(2).index)).rename("two leading channels"))
axes = table.plot.barh(figsize=(7, 1 + 0.5 * len(table)), xlabel="share of |relevance| (%)", ylabel="")
axes.figure.savefig(out / "options.png", dpi=150, bbox_inches="tight")

# %% How the leading channels differ, with intervals over windows and encoders
columns = ["unit", "relevance", "low", "high", "property", "own", "usual"]
print(study.channels.loc[cluster, columns].sort_values("relevance", ascending=False).head(3))

# %% Scores, their threshold, and the anomalous segments; another quantile is another choice of the same scores
print(f"threshold {study.threshold:.3g}")
print(study.anomalies.head())
scores = study.windows["score"]
for quantile in (0.9, 0.95, 0.99):
    limit = scores.quantile(quantile)
    print(f"quantile {quantile}: {int((scores > limit).sum())} windows above {limit:.3g}")

# %% What is not here is one command; only the stages that depend on it run again
# another stride, projection or cluster size: edit conf/window, or `dvc exp run -S projection=tsne -S clusterer=...`
# next week's data, without training:         python -m pipeline.apply dataset=pump dataset.path=data/next_week.csv
# a sweep over rules, ranked:                 python -m pipeline.explain -m +sweep=lrp_rules
