from xml.etree import ElementTree

from uncensor_trainer.report.picture import picture

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_stands_alone_and_follows_both_schemes(a_run, facts_of):
    drawn = picture(facts_of(a_run()))

    document = ElementTree.fromstring(drawn)  # noqa: S314 - our own output
    style = document.find(f"{SVG}style").text
    assert "prefers-color-scheme: dark" in style
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    said = " ".join(document.itertext())
    assert "Filtered model" in said
    assert "Training loss" in said
    assert "- - Control, no filter" in said


def test_one_panel_is_drawn_where_there_is_one(a_run, facts_of):
    run = a_run(control=False, baseline=False)
    facts = facts_of(run)

    both = ElementTree.fromstring(picture(facts))  # noqa: S314
    without_loss = ElementTree.fromstring(  # noqa: S314
        picture(type(facts)(**{**fields(facts), "training": ()}))
    )

    assert len(both.findall(f"{SVG}svg")) == 2
    assert len(without_loss.findall(f"{SVG}svg")) == 1


def fields(facts):
    return {name: getattr(facts, name) for name in facts.__slots__}
