import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.filtering import DISCLAIMER, PLAIN, REFUSAL, lines, row, talk
from uncensor_trainer.filtering import quick
from uncensor_trainer.filtering.lines import filter_lines
from uncensor_trainer.filtering.policy import Policy, Rule, checked

DEEP = '{"instruction":"a","output":"b","x":' + "[" * 100_000 + "]" * 100_000 + "}"
BROKEN = {
    "cut off": b'{"instruction": "a", "out',
    "not UTF-8": b'{"instruction": "a", "output": "\xff\xfe"}',
    "not UTF-8 in a field nobody reads": b'{"instruction": "a", "output": "b", "id": "\xff"}',
    "NUL": b'{"instruction": "a", "output": "b\x00"}',
    "escaped NUL": b'{"instruction": "a", "output": "b\\u0000"}',
    "half a surrogate pair": b'{"instruction": "a", "output": "b\\ud800"}',
    "a number that is too long": b'{"instruction": "a", "output": "b", "n": ' + b"9" * 5000 + b"}",
    "nested deeply": DEEP.encode(),
    "an answer twice": b'{"instruction": "a", "output": "b", "output": "c"}',
    "an answer twice in disguise": b'{"instruction": "a", "output": "b", "\\u006futput": "c"}',
    "an instruction twice": b'{"instruction": "a", "instruction": "b", "output": "b"}',
    "two objects": b'{"instruction": "a", "output": "b"} {"instruction": "a", "output": "b"}',
    "a list": b"[1, 2]",
    "unknown fields": b'{"question": "a", "reply": "b"}',
    "an empty instruction": b'{"instruction": " ", "output": "b"}',
    "a number as answer": b'{"instruction": "a", "output": 7}',
    "two users": b'{"conversations": [{"from": "human", "value": "a"},'
    b' {"from": "human", "value": "b"}]}',
    "an unknown role": b'{"messages": [{"role": "tool", "content": "a"}]}',
    "a content twice": b'{"messages": [{"role": "user", "content": "a", "content": "b"},'
    b' {"role": "assistant", "content": "b"}]}',
}


def written(outcome):
    return b"".join(map(bytes, outcome.pieces))


def test_plain_lines_leave_byte_for_byte():
    block = lines(row(), row(id=3, score=1.50), '{"output":"Yes.",  "instruction":"Is it?"}')
    block += b'{"instruction":"caf\\u00e9","input":null,"output":"tea"}\r\n' + row().encode()
    outcome = filter_lines(block, Policy())
    assert written(outcome) == block
    assert outcome.rows == 5


def test_a_refusal_goes_and_its_neighbours_stay():
    block = lines(row(), row(REFUSAL), row(id=2))
    outcome = filter_lines(block, Policy())
    assert written(outcome) == lines(row(), row(id=2))
    assert [(number, decision.action) for number, decision in outcome.flagged] == [(1, "drop")]


def test_a_caveat_is_cut_and_everything_else_of_the_row_stays():
    block = lines(row(DISCLAIMER, id=1.5, tags=["é"]))
    outcome = filter_lines(block, Policy())
    value = json.loads(written(outcome))
    assert value["output"].startswith("The bridge is 40 metres")
    assert {**value, "output": DISCLAIMER} == json.loads(block)


TALK = ("a", PLAIN, "b", REFUSAL, "c", PLAIN, "d", DISCLAIMER)


@pytest.mark.parametrize(
    ("refusal", "disclaimer", "action", "left", "removed"),
    [
        pytest.param("cut", "keep", "cut", [0, 1], [2, 3, 4, 5, 6, 7], id="cut"),
        pytest.param("drop-turn", "keep", "cut", [0, 1, 4, 5, 6, 7], [2, 3], id="drop the pair"),
        pytest.param("drop-turn", "cut", "cut", [0, 1, 4, 5], [2, 3, 6, 7], id="both"),
        pytest.param("drop", "cut", "drop", None, None, id="dropping wins"),
        pytest.param("keep", "keep", "keep", [*range(8)], None, id="keep"),
    ],
)
def test_a_conversation_is_kept_in_part(refusal, disclaimer, action, left, removed):
    policy = checked(Policy(actions={"refusal": refusal, "disclaimer": disclaimer}))
    outcome = filter_lines(lines(talk(*TALK)), policy)
    told = outcome.flagged[0][1].as_json(0)
    assert (told["action"], told.get("removed")) == (action, removed)
    if left is None:
        assert written(outcome) == b""
    else:
        values = [turn["value"] for turn in json.loads(written(outcome))["conversations"]]
        assert values == [TALK[n] for n in left]


def test_a_turn_goes_and_another_is_stripped():
    policy = checked(Policy(actions={"refusal": "drop-turn"}))
    outcome = filter_lines(lines(talk(*TALK)), policy)
    values = [turn["value"] for turn in json.loads(written(outcome))["conversations"]]
    assert values[:5] == ["a", PLAIN, "c", PLAIN, "d"]
    assert values[5].startswith("The bridge")
    assert outcome.flagged[0][1].action == "cut"


@pytest.mark.parametrize("action", ["cut", "drop-turn"])
def test_a_row_that_would_be_left_without_an_answer_is_dropped(action):
    policy = checked(Policy(actions={"refusal": action}))
    outcome = filter_lines(lines(row(REFUSAL), talk("a", REFUSAL, "b", REFUSAL)), policy)
    assert written(outcome) == b""
    assert [decision.action for _, decision in outcome.flagged] == ["drop", "drop"]


def test_in_audit_everything_stays():
    block = lines(row(REFUSAL), row(DISCLAIMER))
    outcome = filter_lines(block, Policy(mode="audit"))
    assert written(outcome) == block
    assert [decision.action for _, decision in outcome.flagged] == ["keep", "keep"]


def test_a_conversation_is_counted_once_however_many_turns_refuse():
    outcome = filter_lines(lines(talk("a", REFUSAL, "b", REFUSAL), talk("a", PLAIN)), Policy())
    assert [number for number, _ in outcome.flagged] == [0]
    assert [turn for turn, _ in outcome.flagged[0][1].verdicts] == [1, 3]


def test_only_the_turn_with_the_caveat_changes():
    outcome = filter_lines(lines(talk("a", PLAIN, "b", DISCLAIMER)), Policy())
    values = [turn["value"] for turn in json.loads(written(outcome))["conversations"]]
    assert values[:3] == ["a", PLAIN, "b"]
    assert values[3].startswith("The bridge")


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_line_is_quarantined_and_its_neighbours_stay(broken):
    block = lines(row()) + b"\n" + broken + b"\n" + lines(row(id=1))
    outcome = filter_lines(block, Policy())
    assert written(outcome) == lines(row(), row(id=1))
    (bad,) = outcome.quarantined
    assert (bad.row, bad.line, bad.offset) == (1, 2, len(lines(row())) + 1)
    assert bad.reason
    assert outcome.rows == 3


def test_a_row_with_the_fields_of_two_formats_is_read_as_it_is_alone():
    both = json.loads(talk("a", PLAIN))
    both.update(instruction="a", output=REFUSAL)
    outcome = filter_lines(lines(talk("a", PLAIN), json.dumps(both)), Policy())
    assert [number for number, _ in outcome.flagged] == [1]


def test_formats_may_be_mixed():
    block = lines(row(), talk("a", REFUSAL), row(), talk("a", PLAIN), row(REFUSAL))
    outcome = filter_lines(block, Policy())
    assert [number for number, _ in outcome.flagged] == [1, 4]
    assert written(outcome) == lines(row(), row(), talk("a", PLAIN))


@pytest.mark.parametrize(
    "block",
    [b"", b"\n", b" \r\n\n", b'{"instruction": "a",\n"output": "b"}\n'],
    ids=["empty", "a line feed", "blanks", "an object over two lines"],
)
def test_what_is_no_row_is_not_kept(block):
    outcome = filter_lines(block, Policy())
    assert written(outcome) == b""
    assert outcome.rows == len(outcome.quarantined)


def test_lines_that_are_joined_and_broken_are_no_rows_though_their_number_is_right():
    two = row() + " " + row()
    outcome = filter_lines(
        (two + "\n" + '{"instruction": "a",\n"output": "b"}\n').encode(), Policy()
    )
    assert len(outcome.quarantined) == outcome.rows == 3


@pytest.mark.parametrize(
    ("twice", "wrong"),
    [
        ('{"instruction": "a", "output": "b", "output": "c"}', '{"instruction": "a", "output": 7}'),
        (
            '{"prompt": "a", "completion": "b", "completion": "c"}',
            '{"prompt": "a", "completion": []}',
        ),
    ],
)
def test_an_answer_too_many_does_not_make_up_for_one_too_few(twice, wrong):
    outcome = filter_lines(lines(twice, wrong), Policy())
    assert len(outcome.quarantined) == outcome.rows == 2


def test_a_text_too_many_does_not_make_up_for_one_too_few_in_a_conversation():
    turns = '{"from": "human", "value": "a", "value": "b"}, {"from": "gpt", "value": 7}'
    outcome = filter_lines(lines('{"conversations": [' + turns + "]}"), Policy())
    assert len(outcome.quarantined) == outcome.rows == 1


def test_rules_of_the_user_find_what_no_pattern_knows():
    policy = Policy(rules=(Rule("rice", "placeholder", "twelve minutes"),))
    outcome = filter_lines(lines(row(), row("Tea.")), policy)
    assert [decision.strongest.rule for _, decision in outcome.flagged] == ["rice"]


LINES = st.sampled_from([
    row().encode(), row(REFUSAL).encode(), row(DISCLAIMER).encode(), row("").encode(), b"", b" ",
    talk("a", PLAIN, "b", REFUSAL).encode(), *(b for b in BROKEN.values() if len(b) < 1000),
    b'{"prompt": "a", "completion": "b"}', row("\u2019", "\u00e9").encode(),
])  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\r\n"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(LINES, ENDS), max_size=12))
def test_every_row_is_kept_dropped_or_quarantined_with_and_without_msgspec(parts):
    block = b"".join(line + end for line, end in parts)
    outcome = filter_lines(block, Policy())
    dropped = sum(decision.action == "drop" for _, decision in outcome.flagged)
    kept = written(outcome).count(b"\n")
    assert outcome.rows == sum(bool(line.strip()) for line, _ in parts)
    assert outcome.rows == kept + dropped + len(outcome.quarantined)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quick, "msgspec", None)
        slow = filter_lines(block, Policy())
    assert (written(slow), slow.flagged, slow.quarantined) == (
        written(outcome), outcome.flagged, outcome.quarantined,
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_it(data):
    outcome = filter_lines(data, Policy())
    assert outcome.rows >= len(outcome.quarantined)
