"""What the pages show must be true: manifests valid, links leading somewhere, targets existing."""

import re
from pathlib import Path

import pytest

from uncensor_operator.api.reading import read
from uncensor_operator.api.unsupported import unsupported

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]
MANIFESTS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL))
    if "kind: UncensorTraining" in block
]


def test_there_are_manifests_to_check():
    assert len(MANIFESTS) >= 2


@pytest.mark.parametrize("block", MANIFESTS)
def test_a_manifest_in_the_docs_is_valid(block, tmp_path):
    path = tmp_path / "training.yaml"
    path.write_text(block.replace('sha256: "..."', f'sha256: "{"0" * 64}"'))
    documents = read([str(path)])
    assert [problem for document in documents for problem in document.problems] == []
    assert [unsupported(document.training) for document in documents] == [()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_make_targets_named_in_the_docs_exist():
    makefile = "\n".join(
        path.read_text() for path in (ROOT / "Makefile", ROOT / "tests/cluster/cluster.mk")
    )
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    named = {
        name
        for page in PAGES
        for name in re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert named <= targets
    assert {"quickstart", "test", "verify", "fmt", "generate", "help"} <= targets
