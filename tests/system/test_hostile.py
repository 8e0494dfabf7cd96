"""A quick third of the hostile guests (hostile_cases.py), beside a neighbour of each face. All of them: `make hostile`."""

import os

import hostile_yard
import pytest
from conftest import BUILD
from hostile_cases import CASES

QUICK_MS = 300  # how long a storm blows
PAIRS = hostile_yard.chosen("real", quick=True)
BATCHES = [PAIRS[i:i + hostile_yard.BATCH] for i in range(0, len(PAIRS), hostile_yard.BATCH)]


def test_there_are_enough():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 60
    assert 3 * sum(case.quick for case in CASES) >= len(CASES)


def test_neighbours_notice(request, tmp_path):
    """One bit of a block, or a heartbeat that comes twice: each says so."""
    log = os.path.join(BUILD, "system", request.node.name + ".log")
    yard = hostile_yard.Yard([], "real", str(tmp_path), log, request.config.getoption("--elf"))
    yard.neighbours = {"spoil": 40}
    with yard:
        for name in hostile_yard.NEIGHBOURS:
            yard.machine.expect(name, "JANUS: wrong=sum:", 30)
        for name in hostile_yard.NEIGHBOURS:
            yard.machine.seen.clear()
            yard.machine.expect(name, "JANUS: wrong=heartbeat's order:", 30)


@pytest.mark.parametrize("batch", BATCHES, ids=[f"{b[0][0].name}-to-{b[-1][0].name}" for b in BATCHES])
def test_hostile(request, tmp_path, batch):
    """Each comes to the end that its row says; the neighbours' data are whole, the monitor answers, nothing is left."""
    log = os.path.join(BUILD, "system", request.node.name.replace("/", "_") + ".log")
    yard = hostile_yard.Yard(batch, "real", str(tmp_path), log, request.config.getoption("--elf"), QUICK_MS)
    outcomes = yard.run_all()
    assert [o.row() for o in outcomes if o.wrong] == []
    assert len(outcomes) == len(batch)
