"""The projection as a widget in which a lasso selects windows."""

from typing import TYPE_CHECKING

from clusterwhy.errors import ClusterWhyError
from clusterwhy.report.study_results import StudyResults
from clusterwhy.study import views

if TYPE_CHECKING:
    from plotly.graph_objects import FigureWidget


def lasso(study: StudyResults, colour: str) -> "FigureWidget":
    """A figure whose attribute `selected` lists the ids of the windows in the last lasso, in order of time.

    Raises:
        ClusterWhyError: the packages for widgets are missing.
    """
    import plotly.graph_objects as go

    class Lasso(go.FigureWidget):
        """The projection; `selected` are the ids of the selected windows."""

        @property
        def selected(self) -> list[int]:
            """Ids of the windows in the last lasso."""
            found = [int(one.customdata[i][0]) for one in self.data for i in one.selectedpoints or ()]
            return sorted(found)

    try:
        figure = Lasso(views.projection(study, colour))
    except ImportError as error:
        raise ClusterWhyError('widgets need `pip install "clusterwhy[notebook]"`') from error
    figure.update_layout(dragmode="lasso")
    return figure
