"""A study applied to a new recording in memory."""

from pathlib import Path

from clusterwhy.annotations.annotated import Sources
from clusterwhy.application.applying import Application
from clusterwhy.application.fitted_study import FittedStudy
from clusterwhy.application.news import News
from clusterwhy.application.recording import admitted, channel_differences, save_recording
from clusterwhy.application.settings import ApplicationSettings
from clusterwhy.application.writing import write_explanations
from clusterwhy.compute.workers import Workers
from clusterwhy.data.series import Series
from clusterwhy.report.application_results import ApplicationResults


def applied_to(
    fitted: FittedStudy,
    series: Series,
    folder: Path,
    settings: ApplicationSettings,
    workers: Workers,
    sources: Sources | None = None,
) -> ApplicationResults:
    """Everything that `python -m pipeline.apply` writes into a folder, but the page.

    Raises:
        ConfigError: the study has no network.
        DataError: missing and added channels, another rate.
    """
    fitted.check_network()
    card = fitted.data.card
    masked = tuple(channel_differences(series.channels, card)[0])
    data = save_recording(folder / "prepare", admitted(series, card, settings), card)
    applied = Application(fitted, data, folder, workers, settings, masked)
    news = News(applied)
    _ = news.checks, news.masking, applied.placed, applied.scores, news.figures
    write_explanations(applied)
    return ApplicationResults.in_folder(folder, fitted.artifacts, sources)
