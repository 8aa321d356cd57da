import pytest

from uncensor_trainer.data.inputs import (
    CLEAN_ANSWERS,
    PROBE,
    REFUSAL_PROMPTS,
    Question,
    ReferenceAnswer,
    bundled,
    read_questions,
    read_reference_answers,
)
from uncensor_trainer.exits import InvalidInput


def a_file(tmp_path, content, name="list.jsonl"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "question"),
    [
        pytest.param(
            '{"idx": 7, "Skill": "math", "Difficulty": 3, "Instruction": "Add 2 and 2."}',
            Question(7, "Add 2 and 2.", "math"),
            id="the original's test set",
        ),
        pytest.param(
            '{"id": "p1", "prompt": "Hi?", "category": "chat"}',
            Question("p1", "Hi?", "chat"),
            id="prompt",
        ),
        pytest.param('{"instruction": "Hi?"}', Question(1, "Hi?"), id="nothing but the text"),
        pytest.param('[\n{"id": 3, "prompt": "Hi?"}\n]', Question(3, "Hi?"), id="a JSON array"),
        pytest.param(
            '\ufeff\n\n{"prompt": "Hi?", "category": null}\n\n',
            Question(1, "Hi?"),
            id="byte order mark and empty lines",
        ),
        pytest.param(
            '{"prompt": "one\u2028line"}', Question(1, "one\u2028line"), id="a line separator"
        ),
    ],
)
def test_a_question_is_read_in_each_of_its_forms(tmp_path, content, question):
    assert read_questions([a_file(tmp_path, content)]) == [question]


def test_entries_without_an_id_are_numbered_through_all_files(tmp_path):
    files = [
        a_file(tmp_path, '{"prompt": "a"}\n{"prompt": "b"}', "one.jsonl"),
        a_file(tmp_path, '[{"prompt": "c"}]', "two.json"),
    ]
    assert [question.identity for question in read_questions(files)] == [1, 2, 3]


def test_a_reference_answer_has_an_instruction_and_a_response(tmp_path):
    file = a_file(tmp_path, '{"id": "a1", "instruction": "Hi?", "response": "Hello."}')
    assert read_reference_answers([file]) == [ReferenceAnswer("a1", "Hi?", "Hello.")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "empty", id="nothing"),
        pytest.param("\n \n", "empty", id="blank lines"),
        pytest.param("[]", "empty", id="an array of nothing"),
        pytest.param('{"prompt": "a"}\n{"prompt": ', "line 2, column", id="half a line"),
        pytest.param("What is a fish?", "line 1, column 1: not JSON", id="plain text"),
        pytest.param('[{"prompt": "a"},\n oops]', "line 2, column 2", id="broken array"),
        pytest.param("[" * 100_000, "nested too deeply", id="deep array"),
        pytest.param('{"a":' * 100_000, "line 1: nested too deeply", id="deep line"),
        pytest.param('["Hi?"]', "entry 1: found a str", id="text instead of an object"),
        pytest.param('{"question": "a"}', "line 1.*found question", id="another name"),
        pytest.param("{}", "found no fields", id="an empty object"),
        pytest.param('{"prompt": 5}', "line 1: prompt is a int", id="a number"),
        pytest.param('{"prompt": "a"}\n\n{"prompt": " "}', "line 3: prompt is empty", id="blanks"),
        pytest.param('{"prompt": "a\\ud83d"}', r"half a character \(\\ud83d\)", id="half an emoji"),
        pytest.param('{"id": 1.5, "prompt": "a"}', "id is a float", id="a fraction as id"),
        pytest.param('{"id": true, "prompt": "a"}', "id is a bool", id="a truth as id"),
        pytest.param(
            '{"id": 1, "prompt": "a"}\n{"id": "1", "prompt": "b"}',
            "line 2: the id '1' stands at list.jsonl, line 1",
            id="twice the same id",
        ),
        pytest.param(b'{"prompt": "\xff"}', "not UTF-8", id="bytes"),
    ],
)
def test_a_bad_list_is_refused_with_the_place(tmp_path, content, message):
    with pytest.raises(InvalidInput, match=message):
        read_questions([a_file(tmp_path, content)])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"gone\.jsonl does not exist"):
        read_questions([tmp_path / "gone.jsonl"])


def test_an_answer_without_its_response_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="line 1: want one of response, output"):
        read_reference_answers([a_file(tmp_path, '{"instruction": "Hi?"}')])


def test_the_bundled_lists_can_be_read():
    assert len(read_questions([bundled(PROBE)])) >= 10
    assert len(read_questions([bundled(REFUSAL_PROMPTS)])) >= 60
    assert len(read_reference_answers([bundled(CLEAN_ANSWERS)])) >= 50
