import io
import json

import pytest
from transformers import AutoTokenizer

from support.tiny import run_file, some_rows, tiny_model, workspace_with
from uncensor_trainer.data.store import TokenStore
from uncensor_trainer.data.tokenise import MASKED
from uncensor_trainer.exits import ExitCode, InvalidInput, WorkspaceFailure
from uncensor_trainer.progress import Progress
from uncensor_trainer.run import main, run_stage
from uncensor_trainer.workspace import Workspace

TEMPLATES = ["auto", "wizardlm", "alpaca", "vicuna"]
END = "<|im_end|>"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def model(tiny, tmp_path):
    """A copy that a test may change."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


class Prepared:
    """The prepare stage of one run on rows that filter might have left."""

    def __init__(self, root, model):
        self.root, self.model = root, model
        self.lines = io.StringIO()

    def run_file(self, kept, unfiltered=(), **training):
        training = {"max_length": 400, **training}
        # The plan gives other settings another digest.
        digest = str(hash((len(kept), *training.items())))
        run = run_file(self.root / "workspace", self.model, digest=digest, training=training)
        self.workspace = workspace_with(run, kept, unfiltered)
        return run

    def of(self, kept, unfiltered=(), **training):
        """Run the stage and return its summary."""
        run = self.run_file(kept, unfiltered, **training)
        return run_stage(run, "prepare", Progress("prepare", stream=self.lines))["summary"]

    @property
    def folder(self):
        return self.workspace.output("prepare")

    def store(self, arm="filtered"):
        return TokenStore.open(self.folder / arm)

    def origins(self, arm="filtered"):
        store = self.store(arm)
        return [index for _, index in store.origins(range(len(store)))]

    def taught(self, row=0, arm="filtered"):
        """Return the text that counts in the loss."""
        _, labels = self.store(arm).row(row)
        tokenizer = AutoTokenizer.from_pretrained(self.model)
        return tokenizer.decode(labels[labels != MASKED])


@pytest.fixture
def prepared(tmp_path, model):
    return Prepared(tmp_path, model)


def a_row(*texts, index=0, system=None):
    """Return a kept row: question, answer, question, answer ..."""
    roles = ["user", "assistant"] * len(texts)
    messages = [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return {"dataset": "made-up", "index": index, "messages": messages}


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_taught_is_the_answers_with_their_end_and_nothing_else(prepared, template):
    rows = [a_row("Say hello.", "Hello there!"), a_row("Who?", "You: café, 東京 🙂", index=1)]
    summary = prepared.of(rows, template=template)
    assert prepared.taught(0).strip() == f"Hello there!{END}"
    assert prepared.taught(1).strip() == f"You: café, 東京 🙂{END}"
    assert summary["filtered"]["rows"] == 2


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_answer_of_a_conversation_is_taught(prepared, template):
    prepared.of([a_row("One?", "First.", "Two?", "Second.", system="Be brief.")], template=template)
    assert prepared.taught().replace(" ", "") == f"First.{END}Second.{END}"


def test_the_model_reads_question_input_and_answer_in_order(prepared, model):
    row = a_row("Translate.", "Hola.")
    row["messages"][0]["input"] = "Hello."
    prepared.of([row])
    ids, _ = prepared.store().row(0)
    text = AutoTokenizer.from_pretrained(model).decode(ids)
    assert text == (
        f"<|im_start|>user\nTranslate.\n\nHello.{END}\n<|im_start|>assistant\nHola.{END}\n"
    )


def test_the_summary_counts_what_the_store_holds(prepared):
    summary = prepared.of(some_rows(9))["filtered"]
    store = prepared.store()
    assert summary["rows"] == len(store) == 9
    assert summary["tokens"] == store.lengths.sum()
    assert summary["lossTokens"] == (store.loss == 1).sum()
    assert summary["longest"] == store.lengths.max()
    assert store.origins([0, 8]) == [("greetings", 0), ("greetings", 8)]


def test_held_out_rows_are_in_neither_arm(prepared):
    rows = some_rows(80)
    summary = prepared.of(rows[::2], rows, control=True, validation_fraction=0.25)
    lines = (prepared.folder / "validation.jsonl").read_text().splitlines()
    held_out = {json.loads(line)["index"] for line in lines}
    assert summary["heldOut"] == len(held_out) > 0
    filtered, control = set(prepared.origins()), set(prepared.origins("control"))
    assert filtered == set(range(0, 80, 2)) - held_out
    assert control == set(range(80)) - held_out


def test_the_same_rows_are_held_out_whatever_else_is_kept(prepared):
    rows = some_rows(60)
    prepared.of(rows, validation_fraction=0.3)
    before = set(range(60)) - set(prepared.origins())
    prepared.of(rows[10:], validation_fraction=0.3, max_length=100)
    assert set(range(10, 60)) - set(prepared.origins()) == before & set(range(10, 60))


def test_without_a_fraction_nothing_is_held_out(prepared):
    assert prepared.of(some_rows(5))["heldOut"] == 0
    assert (prepared.folder / "validation.jsonl").read_text() == ""
    assert not (prepared.folder / "control").exists()


def test_rows_that_do_not_fit_are_left_out_told_and_shown(prepared):
    rows = [a_row("Say hello.", "Hello there!"), a_row("Go on.", "x" * 500, index=1)]
    summary = prepared.of(rows, max_length=60)
    assert prepared.origins() == [0]
    (reason,) = summary["filtered"]["rejected"]
    assert reason == "the first answer ends after maxLength"
    rejected = json.loads((prepared.folder / "filtered" / "rejected.json").read_text())
    (sample,) = rejected["samples"]
    assert (sample["index"], sample["text"][:40].count("Go on.")) == (1, 1)
    assert f"1 rows of the filtered arm are left out: {reason}" in prepared.lines.getvalue()


def use_template(model, template):
    (model / "chat_template.jinja").write_text(template)


TURNS = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
WITHOUT_ANSWERS = (
    TURNS + "{% if m['role'] == 'user' %}{{ m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
REFUSING = "{{ raise_exception('roles must be friends') }}"
REWRITING = (
    TURNS
    + "{{ (m['content'] if loop.last else 'gone') + '<|im_end|>\n' }}{% endfor %}"
    + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        pytest.param(WITHOUT_ANSWERS, "leaves the answer out.*'Hello there!'", id="masks all"),
        pytest.param(REFUSING, "2 rows: .*roles must be friends.*A sample.*Say hi", id="refuses"),
        pytest.param("{% for %}", "2 rows: the chat template refuses.*Say hi", id="not a template"),
        pytest.param(REWRITING, "rewrites earlier turns", id="rewrites"),
    ],
)
def test_a_template_that_teaches_nothing_is_refused_with_a_sample(prepared, model, template, told):
    use_template(model, template)
    with pytest.raises(InvalidInput, match=told):
        prepared.of([a_row("Say hi.", "Hello there!"), a_row("Say hi!", "Hello there!", index=1)])
    assert not prepared.folder.exists()


def test_a_template_that_refuses_some_rows_keeps_the_others(prepared, model):
    use_template(
        model,
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + TURNS
        + "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    )
    rows = [a_row("Q", "A", system="S"), a_row("Q", "A", index=1)]
    summary = prepared.of(rows)
    assert prepared.origins() == [1]
    assert list(summary["filtered"]["rejected"].values()) == [1]


@pytest.mark.parametrize(
    ("training", "told"),
    [
        pytest.param({"max_length": 3}, "2 rows: .*Raise training.maxLength.*Say hi", id="long"),
        pytest.param({"validation_fraction": 0.999999}, "all 2 are held out", id="all held out"),
    ],
)
def test_settings_that_leave_no_row_are_refused_with_the_remedy(prepared, training, told):
    with pytest.raises(InvalidInput, match=told):
        prepared.of([a_row("Say hi.", "Hi!"), a_row("Say hi!", "Hi!", index=1)], **training)


def test_nothing_to_train_on_ends_with_the_users_exit_code(prepared, tmp_path, capfd):
    run = prepared.run_file([a_row("Say hi.", "Hi!")], max_length=3)
    path = tmp_path / "run.json"
    path.write_text(run.model_dump_json())
    assert main(path, "prepare", tmp_path / "message") == ExitCode.INVALID_INPUT
    assert "Say hi." in json.loads((tmp_path / "message").read_text())["message"]
    assert "Traceback" not in capfd.readouterr().err


def remove_tokenizer(model):
    for path in model.glob("tokenizer*"):
        path.unlink()


def tear_tokenizer(model):
    path = model / "tokenizer.json"
    path.write_text(path.read_text()[:1000])


def empty_tokenizer(model):
    (model / "tokenizer.json").write_text("{}")


def strange_tokenizer(model):
    path = model / "tokenizer.json"
    path.write_text(path.read_text().replace('"BPE"', '"XPE"'))


def shrink_model(model):
    path = model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocab_size": 40}))


def forget_end(model):
    path = model / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token": None}))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(remove_tokenizer, "has no tokenizer that", id="no tokenizer"),
        pytest.param(tear_tokenizer, "has no tokenizer that", id="torn tokenizer"),
        pytest.param(empty_tokenizer, "has no tokenizer that", id="empty tokenizer"),
        pytest.param(strange_tokenizer, "has no tokenizer that", id="unknown kind"),
        pytest.param(shrink_model, "the model knows 40 tokens only", id="another model's"),
        pytest.param(forget_end, "no end-of-sequence token", id="no end token"),
    ],
)
def test_a_tokenizer_that_does_not_serve_is_refused(prepared, model, damage, told):
    damage(model)
    with pytest.raises(InvalidInput, match=told):
        prepared.of([a_row("Say hi.", "Hi!")])


def test_without_the_output_of_fetch_the_remedy_is_told(prepared):
    run = prepared.run_file([a_row("Say hi.", "Hi!")])
    (prepared.workspace.output("fetch") / "sources.json").write_text("{}")
    with pytest.raises(InvalidInput, match="--from fetch"):
        run_stage(run, "prepare", Progress("prepare", stream=prepared.lines))


@pytest.mark.parametrize("name", ["tokens.bin", "loss.bin", "offsets.npy", "store.json"])
def test_a_store_that_was_damaged_afterwards_is_never_trained_on(prepared, name):
    prepared.of(some_rows(4))
    path = prepared.folder / "filtered" / name
    path.write_bytes(path.read_bytes()[:5])
    with pytest.raises(WorkspaceFailure, match="--from prepare"):
        prepared.store().verify()


def test_the_stage_is_done_once(prepared):
    run = prepared.run_file(some_rows(4))
    progress = Progress("prepare", stream=prepared.lines)
    assert run_stage(run, "prepare", progress)["outcome"] == "done"
    assert run_stage(run, "prepare", progress)["outcome"] == "skipped"
    assert Workspace(prepared.root / "workspace", "tiny").record("prepare") is not None
