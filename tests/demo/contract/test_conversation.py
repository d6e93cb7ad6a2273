"""Every answer of the simulator has the status, the fields, the types and the words of a real engine's.

The answers of real engines are written down in real-20.10.json and real-26.1.json by `record.py`; with the lab,
real engines are asked again, so that what is written down stays true.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.demo.contract.cases import conversation
from tests.demo.contract.platform import Platform, Real
from tests.demo.contract.record import converse, differences, recorded
from tests.demo.contract.shapes import shape


def test_answers_are_those_of_a_real_engine(platform: Platform) -> None:
    engine = platform.lab.engine if isinstance(platform, Real) else "20.10"
    found = differences(recorded(engine), converse(platform))
    assert found == [], "\n".join(found)


def test_every_case_is_written_down() -> None:
    names = [case.name for case in conversation()]
    assert len(names) == len(set(names))
    for engine in ("20.10", "26.1"):
        assert set(recorded(engine)) == set(names)


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (("status",), 418),
        (("shape", 0, "Status", "Addr"), "number"),
        (("shape", 0, "Description", "Hostname"), None),
        (("headers",), ["content-type"]),
    ],
)
def test_the_comparison_sees_a_difference(place: tuple[Any, ...], change: Any) -> None:
    real = recorded("20.10")
    wrong = copy.deepcopy(real)
    at = wrong["GET /nodes"]
    for key in place[:-1]:
        at = at[key]
    if change is None:
        del at[place[-1]]
    else:
        at[place[-1]] = change
    assert len(differences(real, wrong)) == 1


def test_shapes_keep_fields_and_types_and_drop_values() -> None:
    one = shape([{"ID": "a", "N": 1, "Labels": {"x": "y"}}, {"ID": "b", "Labels": {}, "Up": True}])
    assert one == [{"ID": "string", "N?": "number", "Labels": "map | map of string", "Up?": "bool"}]
