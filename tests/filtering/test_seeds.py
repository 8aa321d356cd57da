"""The fuzzer's first blocks, always the same ones; benchmarks/filter/fuzz.py goes on from there.

A seed that found a fault stays here when the fault is corrected.
"""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).resolve().parents[2] / "benchmarks" / "filter" / "fuzz.py"
SEEDS = range(1, 9)
BLOCKS = 12


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("filter_fuzz", FUZZER)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_lines_are_neither_lost_nor_read_in_two_ways(fuzz, seed):
    dice = random.Random(seed)  # noqa: S311 - repeatable, no secret
    for number in range(BLOCKS):
        data = fuzz.block(dice)
        assert not fuzz.problem(data, fuzz.POLICIES[number % len(fuzz.POLICIES)]), data


FOUND = {
    "a question that begins with a byte of no UTF-8 text (seed 11)": (
        b'{"conversations": [{"from": "human", "value": "\xff"}, '
        b'{"from": "gpt", "value": "Yes."}]}\n'
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_the_fuzzer_once_found_stays_mended(fuzz, name):
    assert not fuzz.problem(FOUND[name], fuzz.POLICIES[0])
