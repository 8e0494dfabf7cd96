"""Do the places still stand that make fuzz-check, make mutants and make certify-seeded change? They take long and run seldom."""

import importlib
import os
import re
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
for folder in ("tests", "tests/fuzz", "tests/certify"):
    sys.path.insert(0, os.path.join(ROOT, folder))
private_copy = importlib.import_module("private_copy")
PLACES = [
    *((seed[2], seed[3]) for seed in importlib.import_module("seeds").SEEDS),
    *((mutant[1], mutant[2]) for mutant in importlib.import_module("mutants").MUTANTS),
    *((change[2], change[3]) for change in importlib.import_module("seeded_rows").SEEDED),
]


@pytest.mark.parametrize("name, text", PLACES, ids=[f"{name}-{number}" for number, (name, _) in enumerate(PLACES)])
def test_place_stands_once(name, text):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        assert len(re.findall(private_copy.reads_as(text), file.read())) == 1, text
