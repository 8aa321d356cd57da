import yaml

from support.runs import make_run
from uncensor_trainer.card import Made, card
from uncensor_trainer.runfile import HubSource

REPORT = {"rows": 10, "kept": 7, "dropped": 3, "byClass": {"refusal": 3, "identity": 1}}


def a_card(arm="filtered", **fields):
    run = make_run(model=HubSource(repo="owner/base", revision="main"), **fields)
    sources = {"model": {"revision": "0a1b2c"}, "datasets": {"rows": {"revision": "ddd"}}}
    return card(Made(run, arm, sources, REPORT, {"finalLoss": 1.25}, {"torch": "2.13.0"}))


def test_a_hub_can_read_the_front_matter():
    front = yaml.safe_load(a_card().split("---")[1])
    assert front["base_model"] == "owner/base"
    assert front["pipeline_tag"] == "text-generation"


def test_sources_stand_with_their_revisions():
    said = a_card()
    assert "base model: `owner/base` `main` at 0a1b2c" in said
    assert "data set rows: `rows.json` at ddd" in said


def test_the_filter_is_counted_by_class_with_what_was_done():
    said = a_card()
    assert "rows 10, kept 7, dropped 3." in said
    assert "| refusal | 3 | drop |" in said
    assert "| identity | 1 | keep |" in said


def test_settings_and_versions_are_there():
    said = a_card()
    assert "| deepspeed.stage | 3 |" in said
    assert "| globalBatchSize | 32 rows |" in said
    assert "| torch | 2.13.0 |" in said


def test_the_control_arm_says_what_it_is():
    assert "unfiltered: the arm to compare with" in a_card("control")


def test_nothing_is_made_up_where_there_is_no_report():
    run = make_run()
    assert "There is no report." in card(Made(run, "filtered", {}, {}, {}, {}))
