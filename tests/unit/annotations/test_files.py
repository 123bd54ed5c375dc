"""`annotations.yaml` and `events.csv`: what is refused, what is written, and that nobody's comments are lost."""

from pathlib import Path

import numpy as np
import pytest

from clusterwhy.annotations.annotated import Known, Sources, annotate_elsewhere, annotate_from
from clusterwhy.annotations.editing import Editor
from clusterwhy.annotations.events import read_events
from clusterwhy.annotations.file import read_annotations
from clusterwhy.annotations.window_times import ClusterTimes
from clusterwhy.errors import DataError
from clusterwhy.report.study_results import StudyResults
from tests.synthetic_results import synthetic_results

HAND = """# mine
clusters:
  # first
  - cluster: 1   # the second one
    name: 'run'
segments:
"""


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    """Of 97.6 s from ten o'clock on."""
    return synthetic_results(tmp_path_factory.mktemp("dated"), start="2024-03-01 10:00")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return synthetic_results(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources.beside(tmp_path / "artifacts")


def faults_of(sources: Sources, study: StudyResults) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        annotate_from(sources, study.known)
    return caught.value.faults


def test_without_files_nothing_is_named(sources: Sources, plain: StudyResults) -> None:
    found = annotate_from(sources, plain.known)
    assert (dict(found.clusters), found.told, found.outside, found.segments, found.events) == ({}, (), (), (), ())


@pytest.mark.parametrize("text", ["", "# nothing\n", "clusters:\nsegments:\n", "clusters: []\nsegments: []\n"])
def test_an_empty_file_names_nothing(sources: Sources, plain: StudyResults, text: str) -> None:
    sources.names.write_text(text)
    sources.events.write_text("start,end,name\n")
    assert not annotate_from(sources, plain.known).clusters


def test_every_fault_of_the_names_is_listed_at_once(sources: Sources, dated: StudyResults) -> None:
    sources.names.write_text(
        "clusters:\n"
        "  - {cluster: 7, name: far}\n"
        "  - {cluster: 8, name: further}\n"
        "segments:\n"
        "  - {start: '2024-03-01T10:00:30', end: '2024-03-01T10:00:10', name: backward}\n"
        "  - {start: 10, end: 20, name: seconds}\n"
        "  - {start: '2024-03-01T10:00:00', end: '2024-03-01T10:00:10', name: one}\n"
        "  - {start: 2024-03-01T10:00:05, end: '2024-03-01T10:00:15', name: two}\n"
    )
    faults = "\n".join(faults_of(sources, dated))
    for told in (
        "'far': no cluster 7; the study has 0 to 2",
        "'further': no cluster 8",
        "(backward): it begins after it ends",
        "(seconds): give dates",
        "segments 'one' and 'two' overlap",
    ):
        assert told in faults, faults


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clusters: {3: idle}", "clusters"),
        ("- 3\n", "expected `clusters:` and `segments:`, got list"),
        ("names: []\n", "names: Extra inputs"),
        ("clusters: [{cluster: 1}]", "expected a `name`, a `note`, or both"),
        ("clusters: [{name: idle}]", "expected the number of a `cluster`"),
        ("clusters: [{cluster: one, name: idle}]", "valid integer (got 'one')"),
        ("clusters: [{cluster: 1, name: yes}]", 'put it in quotes, such as "true"'),
        ("clusters: [{cluster: 1, name: 5}]", "put it in quotes"),
        ('clusters: [{cluster: 1, name: "a\\nb"}]', "U+000A"),
        ('clusters: [{cluster: 1, name: "a\\u202eb"}]', "U+202E"),
        ('clusters: [{cluster: 1, note: "a\\u0000b"}]', "U+0000"),
        (f"clusters: [{{cluster: 1, name: {'x' * 61}}}]", "61 characters, more than 60"),
        ("clusters: [{cluster: 1, name: a}, {cluster: 2, name: a}]", "names that two clusters have: 'a'"),
        ("clusters: [{cluster: 1, name: a}, {cluster: 1, name: b}]", "clusters that have two entries: 1"),
        ("segments: [{start: noon, end: 5, name: a}]", "expected a date such as 2024-03-01"),
        ("segments: [{start: 1, name: a}]", "segments[0].end: Field required"),
        ("clusters: [{cluster: 1, name: a, windows: [{within: '0..9', spans: '5..3'}]}]", "in increasing order"),
        ("clusters: [{cluster: 1, name: a, windows: [{within: '0-9', spans: ''}]}]", "expected spans in seconds"),
        ("clusters: [{cluster: 1, name: a, windows: [{since: noon, within: '', spans: ''}]}]", "isoformat"),
        ("clusters: &a []\nsegments: *a\n", "line 1: an anchor, an alias or a tag"),
        ("clusters: !!python/object/apply:os.system [ls]\n", "an anchor, an alias or a tag"),
        ("clusters: [", "not valid YAML"),
    ],
)
def test_a_faulty_file_of_names_is_refused_with_the_reason(
    sources: Sources, plain: StudyResults, text: str, told: str
) -> None:
    sources.names.write_text(text)
    assert told in "\n".join(faults_of(sources, plain))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not a CSV file with commas"),
        ("start;end;name\n1;2;a\n", "no column 'start', 'end', 'name'"),
        ("start,end\n1,2\n", "no column 'name': expected start,end,name"),
        ("start,end,name,cause\n1,2,a,b\n", "further columns"),
        ("start,end,name\n1,later,a\n2,soon,b\n", "got 'later' in line 2, 'soon' in line 3"),
        ("start,end,name\n,2,a\n", "got '' in line 2"),
        ("start,end,name\n1,2,\n", "name: empty; got '' in line 2"),
        ("start,end,name\n1,2024-03-01,a\n", "line 2: a date and seconds"),
        ("start,end,name\n1,2,a\n3,1,b\n", "line 3 (b): it begins after it ends"),
        ("start,end,name\n2024-03-01,2024-03-02,a\n", "the recording has no dates: give seconds"),
        ("start,end,name\n1,2,a\u202eb\n", "U+202E"),
        ("start,end,name\nnan,2,a\n", "line 2"),
        ("start,end,name\n1,inf,a\n", "line 2"),
    ],
)
def test_a_faulty_file_of_events_is_refused_with_the_reason(
    sources: Sources, plain: StudyResults, text: str, told: str
) -> None:
    sources.events.write_text(text)
    assert told in "\n".join(faults_of(sources, plain))


def test_events_are_found_by_dates_and_by_seconds(sources: Sources, dated: StudyResults, plain: StudyResults) -> None:
    sources.events.write_text(
        'start,end,name\n2024-03-01T10:00:10,2024-03-01T10:00:19.9,"a, b"\n2024-03-01T11:00:30+01:00,2024-03-01,rest\n'
    )
    found = annotate_from(sources, dated.known)
    assert [(one.name, one.spans) for one in found.events] == [("a, b", ((100, 200),)), ("rest", ((300, 976),))]
    sources.events.write_text("\ufeffstart, end, name\n10, 19.9, a\n 500 , 501, later\n", encoding="utf-8")
    found = annotate_from(sources, plain.known)
    assert [(one.name, one.spans) for one in found.events] == [("a", ((100, 200),))]
    (told,) = found.outside
    assert told.startswith("1 event is not shown: events.csv, line 3 (later): outside the recording")


def test_an_event_of_one_recording_is_not_in_another(sources: Sources, tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts", recordings=("north", "south"), start="2024-03-01 10:00")
    sources.events.write_text(
        "start,end,name,recording\n2024-03-01,2024-03-01,all,\n2024-03-01,2024-03-01,one,south\n"
        "2024-03-01,2024-03-01,other,west\n"
    )
    found = annotate_from(sources, study.known)
    spans = {one.name: one.spans for one in found.events}
    assert len(spans["all"]) == 2 and spans["one"] == spans["all"][1:]
    assert "no recording 'west'" in found.outside[0]


def test_comments_and_order_of_a_file_stay(sources: Sources, plain: StudyResults) -> None:
    sources.names.write_text(HAND)
    editor = Editor(sources, plain.known)
    editor.name_cluster(2, "stop: yes", "first line\nsecond # line")
    found = editor.name_segment(100, 199, "odd", "")
    text = sources.names.read_text()
    assert (
        text.startswith("# mine\nclusters:\n  # first\n  - cluster: 1 ")
        and "# first" in text
        and "# the second one" in text
    )
    assert "name: 'run'" in text and text.index("run") < text.index("stop")
    again = annotate_from(sources, plain.known)
    assert again == found and again.told == (), "the name by number has the windows of its cluster now"
    assert {c: (one.name, one.note) for c, one in again.clusters.items()} == {
        1: ("run", ""),
        2: ("stop: yes", "first line\nsecond # line"),
    }
    assert [(one.name, one.spans) for one in again.segments] == [("odd", ((100, 200),))]


@pytest.mark.parametrize(
    "name", ["yes", "null", "3", "2024-03-01", "a: b", "# c", "[d]", "'", '"', "é ü 中", "<script>"]
)
def test_any_name_is_read_as_it_was_given(sources: Sources, dated: StudyResults, name: str) -> None:
    editor = Editor(sources, dated.known)
    editor.name_cluster(0, name, name)
    editor.name_segment(5, 9, name, name)
    found = annotate_from(sources, dated.known)
    assert (found.clusters[0].name, found.clusters[0].note) == (name, name)
    assert [(one.name, one.note, one.spans) for one in found.segments] == [(name, name, ((5, 10),))]


def test_a_name_is_changed_and_removed(sources: Sources, plain: StudyResults) -> None:
    editor = Editor(sources, plain.known)
    editor.name_cluster(0, "idle", "a note")
    assert editor.name_cluster(0, "rest", "").clusters[0].note == ""
    editor.name_segment(10, 20, "odd", "why")
    assert editor.name_segment(10, 20, "even", "").segments[0].name == "even"
    assert not editor.name_segment(10, 20, "", "").segments
    assert not editor.name_cluster(0, "", "").clusters
    assert not read_annotations(sources.names).clusters


def test_a_segment_that_was_written_by_hand_is_changed_in_its_own_words(sources: Sources, dated: StudyResults) -> None:
    sources.names.write_text(
        "segments:\n- {start: 2024-03-01T11:00:10+01:00, end: '2024-03-01 10:00:19.95', name: odd} # why\n"
    )
    found = Editor(sources, dated.known).name_segment(100, 199, "even", "a note")
    assert [(one.name, one.note, one.spans) for one in found.segments] == [("even", "a note", ((100, 200),))]
    text = sources.names.read_text()
    assert "2024-03-01T11:00:10+01:00" in text and "# why" in text
    assert not Editor(sources, dated.known).name_segment(100, 199, "", "").segments


def test_what_is_refused_leaves_the_file_as_it_was(sources: Sources, plain: StudyResults) -> None:
    sources.names.write_text(HAND)
    editor = Editor(sources, plain.known)
    for wrong, told in (
        (lambda: editor.name_cluster(5, "far", ""), "no cluster 5"),
        (lambda: editor.name_cluster(0, "run", ""), "names that two clusters have: 'run'"),
        (lambda: editor.name_cluster(0, "x" * 61, ""), "more than 60"),
        (lambda: editor.name_segment(10, 976, "long", ""), "expected samples from 0 to 975"),
        (lambda: editor.name_segment(20, 10, "backward", ""), "expected samples"),
    ):
        with pytest.raises(DataError, match=told):
            wrong()
        assert sources.names.read_text() == HAND
    editor.name_segment(10, 20, "one", "")
    kept = sources.names.read_text()
    with pytest.raises(DataError, match="overlap"):
        editor.name_segment(15, 30, "two", "")
    assert sources.names.read_text() == kept


def test_a_segment_over_two_recordings_is_refused(sources: Sources, tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts", recordings=("north", "south"))
    with pytest.raises(DataError, match="several recordings: north, south"):
        Editor(sources, study.known).name_segment(10, 900, "both", "")
    found = Editor(sources, study.known).name_segment(900, 910, "one", "")
    assert found.segments[0].spans == ((900, 911),) and 'recording: "south"' in sources.names.read_text()


def test_after_a_refit_an_edit_brings_the_numbers_up_to_date(sources: Sources, plain: StudyResults) -> None:
    Editor(sources, plain.known).name_cluster(0, "idle", "")
    Editor(sources, plain.known).name_cluster(1, "run", "")
    before = {one.name: one.windows for one in read_annotations(sources.names).clusters}
    labels = np.array([1, -1, 0, -1])[plain.labels]  # 0 is 1 now, 1 is noise, 2 is 0
    refit = Known(ClusterTimes.of(plain.data, labels, (0, 1)), plain.place)
    found = Editor(sources, refit).name_cluster(0, "stop", "")
    assert {c: one.name for c, one in found.clusters.items()} == {0: "stop", 1: "idle"}
    assert found.told == ("'run' is not shown: all of its time is noise now.",)
    entries = {one.name: one for one in read_annotations(sources.names).clusters}
    assert {name: one.cluster for name, one in entries.items()} == {"idle": 1, "run": None, "stop": 0}
    assert entries["idle"].windows == before["idle"], "a name means the windows that it was given to"
    found = Editor(sources, refit).name_cluster(1, "run", "")
    assert {c: one.name for c, one in found.clusters.items()} == {0: "stop", 1: "run"}
    assert len(read_annotations(sources.names).clusters) == 2 and not found.told


def test_a_recording_that_a_study_is_applied_to_has_its_names_and_its_own_events(
    sources: Sources, dated: StudyResults, plain: StudyResults, tmp_path: Path
) -> None:
    Editor(sources, dated.known).name_cluster(0, "idle", "")
    sources.events.write_text(
        "start,end,name\n2024-03-08,2024-03-08,next week\n2024-03-01T10:00:10,2024-03-01T10:00:20,this week\n"
    )
    study = annotate_from(sources, dated.known)
    week = synthetic_results(tmp_path / "week", start="2024-03-08 10:00")
    found = annotate_elsewhere(study, sources, week.place)
    assert found.name(0) == "idle" and [one.name for one in found.events] == ["next week"]
    assert found.outside == ("1 event is not in this recording.",)
    found = annotate_elsewhere(study, sources, plain.place)
    assert found.events == () and found.outside == ("2 events are not in this recording.",)
    sources.events.write_text("start,end,name,recording\n10,20,mine,made up\n10,20,anyone's,\n")
    found = annotate_elsewhere(study, sources, plain.place)
    assert [one.name for one in found.events] == ["mine"], "without dates, seconds mean the recording that is named"


def test_events_keep_their_order_and_lines(sources: Sources) -> None:
    sources.events.write_text("name,end,start\nb,2,1\na,4,3\n")
    found = read_events(sources.events)
    assert [(one.name, one.where) for one in found] == [
        ("b", "events.csv, line 2 (b)"),
        ("a", "events.csv, line 3 (a)"),
    ]
