"""What `report.html` holds."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from datetime import datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
import report_samples

from envsolver.core.results import Block, CellTime, Failure, Result, ResultKey, Run
from envsolver.report.html import EXECUTED, build_html, write_html
from envsolver.report.html_failures import frame_height
from envsolver.report.html_view import figures_of
from envsolver.run.reports import write_report


class Page(HTMLParser):
    """Tags with their attributes, and the text between."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [
            attrs
            for name, attrs in self.tags
            if name == tag and all(value in (attrs.get(key.rstrip("_")) or "").split() for key, value in wanted.items())
        ]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return report_samples.with_failures(tmp_path)


def one(**values: object) -> Run:
    base = Result(notebook="demos/a.ipynb", group="core", python="3.11", status="failed", seconds=4.1)
    result = dataclasses.replace(base, **values)  # type: ignore[arg-type]
    return Run(directory=Path("run"), started="", wall_seconds=5, workers=1, results=(result,))


def title(run: Run) -> str:
    found = re.search("<h1>(.*)</h1>", build_html(run))
    assert found
    return found.group(1)


def test_the_title_says_the_outcome(run: Run, tmp_path: Path) -> None:
    good = report_samples.all_pass(tmp_path)
    assert title(run) == "5 of 35 notebooks did not pass"
    assert title(good) == "All 33 notebooks passed"
    assert title(dataclasses.replace(good, stopped="interrupted", not_run=("b",))) == "Stopped with 1 notebook not run"
    assert title(one(status="passed")) == "The notebook passed"
    assert title(one(status="skipped", reason="why")) == "No notebook was run"
    assert title(dataclasses.replace(good, results=())) == "No notebook was run"


def test_the_policy_allows_the_own_script_alone(run: Run) -> None:
    text = build_html(run)
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert unescape(policy).startswith(f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'")


def test_nothing_is_loaded_from_elsewhere(run: Run) -> None:
    for tag, attrs in Page(build_html(run)).tags:
        for name in ("src", "href", "action", "data", "poster"):
            address = attrs.get(name) or ""
            assert address == "" or address.startswith(("#", "data:,")), (tag, address)
        assert not any(name.startswith("on") for name in attrs)


def test_each_result_is_a_row_and_each_failure_a_card(run: Run) -> None:
    page = Page(build_html(run))
    rows = [attrs for attrs in page.all("tr") if attrs.get("id")]
    assert len(rows) == len(run.results)
    cards = {attrs["id"] for attrs in page.all("details", class_="failure")}
    assert cards == {f"failure-{index}" for index, result in enumerate(run.results) if not result.good}
    targets = {str(attrs["href"])[1:] for attrs in page.all("a", class_="bar")}
    assert targets <= cards | {attrs["id"] for attrs in rows}
    assert len(page.all("a", class_="is-bad")) == 4


def test_what_did_not_pass_comes_first(run: Run) -> None:
    rows = [attrs["data-verdict"] for attrs in Page(build_html(run)).all("tr") if attrs.get("id")]
    assert rows[:5] == ["failed", "timeout", "memory", "crashed", "environment"]
    assert rows[-2:] == ["skipped", "cached"]


def test_a_pass_shows_why_it_ran() -> None:
    assert (
        "why it ran: data/wall.csv changed" in Page(build_html(one(status="passed", why="data/wall.csv changed"))).text
    )


def test_a_failure_shows_cell_traceback_reason_and_log(run: Run) -> None:
    text = build_html(run, log_tail=lambda result: f"log of \x1b[31m{result.notebook}\x1b[0m")
    assert '<span class="line fault"><i>4</i><code>check(error &lt; tolerance' in text
    assert '<span class="af1">AssertionError</span>' in text
    assert "cell 12 was still running after its limit of 120 s" in text
    assert 'log of <span class="af1">demos/finance/asian_option.ipynb</span>' in text


@pytest.mark.parametrize("status", ["environment", "timeout", "skipped"])
def test_a_long_reason_is_shown_whole(status: str) -> None:
    words = " ".join(f"word{number}" for number in range(100))
    assert words in " ".join(Page(build_html(one(status=status, reason=words))).text.split())


def test_commands_in_a_reason_are_code_and_its_lines_stay_lines() -> None:
    text = build_html(one(status="environment", reason="see why `uv run <x>` fails\nError: no R"))
    code = "see why <code>uv run &lt;x&gt;</code> fails"
    assert f'<p class="reason">{code}\nError: no R</p>' in text
    assert f'<span class="what">{code}' in text


def test_executed_notebooks_stand_in_frames_without_rights(run: Run) -> None:
    page = Page(build_html(run, executed=lambda _: '<p title="&quot;">executed</p>'))
    frames = page.all("iframe")
    assert len(frames) == 5
    assert all(frame["sandbox"] in {None, ""} for frame in frames)
    assert frames[0]["srcdoc"] == '<p title="&quot;">executed</p>'


def test_only_failures_are_asked_for_their_executed_copy(run: Run) -> None:
    asked: list[Result] = []

    def executed(result: Result) -> None:
        asked.append(result)

    build_html(run, executed=executed)
    assert len(asked) == 5
    assert not any(result.good for result in asked)


def alike(count: int) -> Run:
    """Return a run with several notebooks that fail at one place of a library, and one that fails at another."""
    results = []
    for number in range(count + 1):
        traceback = (
            f"Cell In[1], line 1\n----> 1 f()\n\nFile /env/lib.py:{5 + (number == count)}, in f()\nTypeError: no"
        )
        failure = Failure(cell=1, ename="TypeError", evalue="no", traceback=traceback, source="f()")
        (result,) = one(notebook=f"{number}.ipynb", failure=failure, reason="cell 1 raised TypeError: no").results
        results.append(result)
    return dataclasses.replace(one(), results=tuple(results))


def test_notebooks_that_one_fault_kept_from_passing_stand_behind_the_first_of_them() -> None:
    text = build_html(alike(3))
    assert '<span class="aside">4, of 2 kinds</span>' in text
    places = [text.index(f'id="failure-{number}"') for number in range(4)]
    assert places[0] < text.index("The same in 2 other notebooks</summary>") < places[1]
    assert places == sorted(places)


def test_each_kind_of_fault_has_an_executed_copy_before_one_has_two() -> None:
    asked: list[str] = []
    build_html(alike(EXECUTED + 5), executed=lambda result: asked.append(result.notebook))
    assert len(asked) == EXECUTED
    assert asked[:2] == ["0.ipynb", f"{EXECUTED + 5}.ipynb"]


def test_an_executed_copy_of_great_size_is_left_out(run: Run) -> None:
    assert "<iframe" not in build_html(run, executed=lambda _: "x" * 8_000_001)


def test_markup_from_notebooks_is_text_everywhere() -> None:
    odd = "</pre></script></style>\"'><img src=x onerror=alert(1)>\x1b[31mred"
    failure = Failure(cell=1, ename=odd, evalue=odd, traceback=odd, source=odd)
    run = one(notebook=odd, group=odd, python=odd, reason=odd, failure=failure, worker=odd, left_behind=(odd,))
    run = dataclasses.replace(run, stopped=odd, not_run=(odd,), started=odd)
    page = Page(build_html(run, conflicts=[odd], log_tail=lambda _: odd))
    assert not page.all("img")
    assert "\x1b" not in page.text


def test_times_are_compared_with_the_usual(tmp_path: Path) -> None:
    run = one(status="passed", seconds=8.0)
    for usual, text, css in ((2.0, "4.0 \u00d7", "slower"), (6.0, "+33%", "slower"), (10.0, "\u221220%", "right")):
        page = build_html(run, expected={ResultKey("demos/a.ipynb", "core", "3.11"): usual})
        assert re.search(rf'<td role="cell" class="[a-z ]*{css}[^>]*>{re.escape(text)}</td>', page)


def test_environments_list_their_packages(run: Run) -> None:
    text = build_html(run)
    assert "Python 3.11 · 5 packages · from the cache" in text
    assert "Python 3.11 · 4 packages · built in 41 s" in text
    assert '<span>numpy</span><span class="mono">1.26.4</span>' in text


def test_conflicts_are_shown_if_there_are_any(run: Run) -> None:
    assert "h-conflicts" not in build_html(run)
    assert "numpy&lt;2 meets numpy&gt;=2" in build_html(run, conflicts=["numpy<2 meets numpy>=2"])


def test_efficiency_is_work_over_wall_time_and_workers(run: Run) -> None:
    text = build_html(dataclasses.replace(one(status="passed", seconds=6.0), wall_seconds=5.0, workers=2))
    assert "<b>60%</b><span>of 2 workers kept busy</span>" in text
    assert "<b>1.2 \u00d7</b>" in text


def test_the_written_report_holds_executed_copies_and_logs(run: Run) -> None:
    failed = next(result for result in run.results if result.status == "failed")
    for folder in ("executed", "logs"):
        (run.directory / folder).mkdir()
    (run.directory / failed.executed).write_text(json.dumps(report_samples.executed_notebook()))
    (run.directory / failed.log).write_text("the kernel's last words")
    text = write_html(run).read_text(encoding="utf-8")
    assert len(Page(text).all("iframe")) == 1
    assert "the kernel&#x27;s last words" in text
    assert f'<a href="{failed.executed}">executed copy</a>' in text


def test_when_its_time_is_over_the_report_only_links_to_executed_copies(run: Run) -> None:
    failed = next(result for result in run.results if result.status == "failed")
    (run.directory / "executed").mkdir()
    (run.directory / failed.executed).write_text(json.dumps(report_samples.executed_notebook()))
    text = write_html(run, seconds=0).read_text(encoding="utf-8")
    assert not Page(text).all("iframe")
    assert f'<a href="{failed.executed}">executed copy</a>' in text


def test_interrupting_the_html_report_leaves_the_run_and_its_other_reports(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("envsolver.report.html.write_html", interrupted)
    write_report(run, {}, seconds=1.0)
    assert not (run.directory / "report.html").exists()


def test_a_hundred_notebooks_make_a_small_file(tmp_path: Path) -> None:
    run = report_samples.all_pass(tmp_path)
    many = dataclasses.replace(run, results=run.results * 4)
    assert len(build_html(many)) < 400_000


def test_the_row_of_a_pass_tells_where_its_time_went_and_leads_to_its_files(tmp_path: Path) -> None:
    times = {2: 0.001, 3: 1.5, 5: 0.5, 6: 0.06, 8: 0.3, 9: 0.2, 11: 0.1}
    cells = tuple(CellTime(cell=number, seconds=seconds) for number, seconds in times.items())
    run = one(status="passed", cells=cells, start_seconds=0.7, executed="executed/a.ipynb", left_behind=("out.csv",))
    run = dataclasses.replace(run, directory=tmp_path)
    (tmp_path / "executed").mkdir()
    (tmp_path / "executed/a.ipynb").touch()
    text = build_html(run)
    told = re.findall(r"<dt>([^<]*)</dt><dd><span[^>]*><i[^>]*></i></span>([^<]*)</dd>", text)
    assert told == [
        ("cell 3", "1.5 s"),
        ("cell 5", "0.5 s"),
        ("cell 8", "0.3 s"),
        ("cell 9", "0.2 s"),
        ("cell 11", "0.1 s"),
        ("2 other cells", "0.1 s"),
        ("start", "0.7 s"),
    ]
    assert '<a href="executed/a.ipynb">executed copy</a>' in text
    assert "out.csv" in text


def test_the_card_of_a_failure_tells_where_its_time_went() -> None:
    text = build_html(one(cells=(CellTime(cell=4, seconds=3.0),)))
    assert "Where the time went" in text
    assert "<dt>cell 4</dt>" in text


def test_a_frame_is_about_as_high_as_its_notebook(run: Run) -> None:
    short = frame_height('<style>x\n\n\n</style><div class="cell ">a\n</div>')
    long = frame_height("<p>a line</p>\n" * 20 + "<img src=x>")
    assert 60 < short < 150
    assert 600 < long < 900


def test_a_crash_is_told_once() -> None:
    stack = "Fatal Python error: Aborted\n\nStack (most recent call first):\n  File 'a.py', line 1 in f"
    reason = f"the kernel ended in cell 2; its last lines were:\n{stack}"
    failure = Failure(cell=2, ename="KernelDied", evalue=reason, traceback=stack, source="f()")
    text = build_html(one(status="crashed", reason=reason, failure=failure))
    assert "<p>the kernel ended" not in text
    assert text.count("most recent call first") == 1


def test_the_first_figure_says_how_many_passes_rest_on_an_earlier_run_and_how_many_are_flaky(run: Run) -> None:
    cached, flaky, *others = (result for result in run.results if result.status == "passed")
    results = (dataclasses.replace(cached, status="cached"), dataclasses.replace(flaky, flaky=True), *others[:2])
    figure = figures_of(dataclasses.replace(run, results=results))[0]
    assert (figure["value"], figure["more"]) == ("4 passed", "1 of them cached, 1 flaky; 0 failed, 0 skipped")
    assert figures_of(dataclasses.replace(run, results=results[2:]))[0]["more"] == "0 failed, 0 skipped"


def test_on_a_cluster_lanes_have_the_names_of_nodes_and_show_how_long_blocks_were_queued(tmp_path: Path) -> None:
    def nodes(run: Run) -> list[str]:
        page = Page(build_html(run))
        return [str(place["title"]) for place in page.all("div", class_="place")]

    run = report_samples.all_pass(tmp_path)
    assert nodes(run) == []
    started = datetime.fromisoformat(run.started)
    block = Block(
        name="77", profile="gpu", environment="e", state="ended", node="<n1>",
        asked=run.started, started=(started + timedelta(seconds=run.wall_seconds / 4)).isoformat(),
    )  # fmt: skip
    results = tuple(dataclasses.replace(result, node="<n1>") for result in run.results)
    run = dataclasses.replace(run, results=results, blocks=(block,))
    assert set(nodes(run)) == {"<n1>"}
    (queued,) = Page(build_html(run)).all("i", class_="queued")
    assert "block 77 of gpu: queued for" in str(queued["title"])
    assert "width:25.000%" in str(queued["style"])
