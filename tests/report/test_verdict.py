from pathlib import Path

from support import report_example
from uncensor_trainer.report.verdict import remarks, tiles, verdict
from uncensor_trainer.workspace import Workspace, read_json, write_json


def refusal_file(run):
    return Workspace(Path(run.workspace), run.run).output("evaluate") / "refusal.json"


def changed(run, **values):
    path = refusal_file(run)
    write_json(path, {**(read_json(path) or {}), **values})


def said(facts):
    return [f"{remark.lead} {remark.text}" for remark in remarks(facts)]


def test_all_arms_are_in_the_verdict(a_run, facts_of):
    assert verdict(facts_of(a_run())) == (
        "The filtered model refused 1 of 48 harmless prompts (2 %); the same training without "
        "the filter refused 21 (44 %). Before training it was 17 (35 %)."
    )


def test_one_arm_alone_is_a_whole_sentence(a_run, facts_of):
    facts = facts_of(a_run(control=False, baseline=False))

    assert verdict(facts) == "The filtered model refused 1 of 48 harmless prompts (2 %)."


def test_without_an_acting_filter_nothing_is_called_filtered(a_run, facts_of):
    facts = facts_of(a_run(mode="off", control=False, baseline=False))

    assert verdict(facts).startswith("The trained model refused 1 of 48")


def test_without_an_evaluation_the_filter_speaks(a_run, facts_of):
    run = a_run()
    refusal_file(run).unlink()

    facts = facts_of(run)

    assert verdict(facts) == (
        "The filter kept 41 of 62 rows and dropped 19 (31 %). "
        "How often the model refuses was not measured."
    )
    assert "Missing or damaged: evaluation/refusal.json; use --from evaluate." in said(facts)


def test_an_empty_run_says_what_it_does_not_know(tmp_path, facts_of):
    facts = facts_of(report_example.a_run_file(tmp_path))

    assert verdict(facts) == "How often the model refuses was not measured."
    assert tiles(facts, 0.0) == ()


def test_different_numbers_of_prompts_are_named(a_run, facts_of):
    run = a_run(baseline=False)
    arms = {
        "filtered": {"refusals": 1, "n": 48, "rate": 1 / 48},
        "control": {"refusals": 20, "n": 40, "rate": 0.5},
    }
    changed(run, arms=arms)

    assert "without the filter refused 20 of 40 (50 %)." in verdict(facts_of(run))


def test_a_difference_that_may_be_chance_is_called_so(a_run, facts_of):
    run = a_run()
    changed(
        run,
        comparison={
            "test": "exact McNemar",
            "against": "control",
            "pValue": 0.375,
            "onlyOther": 1,
            "onlyFiltered": 4,
        },
    )

    assert said(facts_of(run))[0] == (
        "It could be chance: 1 prompt only the control refused, 4 only this model "
        "(exact McNemar, p = 0.38)."
    )


def test_a_missed_gate_is_marked(a_run, facts_of):
    run = a_run()
    changed(run, gate={"maxRefusalRate": 0.01, "met": False})

    missed = [remark for remark in remarks(facts_of(run)) if remark.is_bad]

    assert [remark.lead for remark in missed] == ["\u2715 The gate is not met:"]


def test_output_of_other_settings_is_left_out_and_named(a_run, facts_of):
    run = a_run()
    record = refusal_file(run).with_name("stage.json")
    write_json(record, {**(read_json(record) or {}), "digest": "of other settings"})

    facts = facts_of(run)

    assert facts.evaluation is None
    assert facts.samples.total == 0
    assert any("evaluate. Run again" in sentence for sentence in said(facts))


def test_perplexities_over_other_tokens_are_not_compared(a_run, facts_of):
    run = a_run(baseline=False)
    other = {"perplexity": 5.0, "tokens": 999, "answers": 64}
    own = {"perplexity": 9.84, "tokens": 4120, "answers": 64}
    changed(run, perplexity={"filtered": own, "control": other})

    assert "Quality: perplexity 9.84 on 64 clean answers." in said(facts_of(run))


def test_tiles_hold_the_key_numbers(a_run, facts_of):
    found = {tile.label: tile.value for tile in tiles(facts_of(a_run()), 367.0)}

    assert found["Filtered model"] == "2 %"
    assert found["Control, no filter"] == "44 %"
    assert found["Rows dropped"] == "19 of 62"
    assert found["Perplexity"] == "9.84"
    assert found["Time"] == "6 min 7 s"
