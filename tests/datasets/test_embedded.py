"""The collection that ships inside the package is the real one, whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from rarityir.datasets import load_dataset


@pytest.fixture(scope="module")
def cranfield():
    return load_dataset("cranfield")


def test_cranfield_has_1400_documents_225_queries_and_1837_judgments(cranfield):
    ids = [doc.doc_id for doc in cranfield.docs()]
    assert ids == [str(i) for i in range(1, 1401)]
    assert cranfield.docs_count == cranfield.identity["documents"] == 1400
    assert list(cranfield.topics) == [str(i) for i in range(1, 226)]
    assert list(cranfield.qrels) == list(cranfield.topics)
    assert sum(map(len, cranfield.qrels.values())) == 1837
    assert {doc_id for judged in cranfield.qrels.values() for doc_id in judged} <= set(ids)


def test_two_records_read_as_they_stand_in_the_collection(cranfield):
    docs = {doc.doc_id: doc.text for doc in cranfield.docs()}
    assert docs["3"].startswith("the boundary layer in simple shear flow past a flat plate . the boundary layer in simple shear")
    assert docs["1400"] == (
        "the buckling shear stress of simply-supported infinitely long plates with transverse stiffeners . the buckling shear "
        "stress of simply-supported infinitely long plates with transverse stiffeners . this report is an extension of previous "
        "theoretical investigations of the elastic buckling in shear of flat plates reinforced by transverse stiffeners . the "
        "plates are treated as infinitely long and simply-supported along the long sides . stiffeners are spaced at regular "
        "intervals, dividing the plate into a number of panels of uniform size . the effect ob bending and torsional stiffnesses "
        "of the stiffener upon the buckling shear stress is calculated for the complete range of stiffnesses, for panels with "
        "ratios of width to stiffener spacing of graphical forms ."
    )
    assert cranfield.topics["1"] == (
        "what similarity laws must be obeyed when constructing aeroelastic models of heated high speed aircraft ."
    )
    assert cranfield.qrels["1"]["184"] == 2
    assert cranfield.qrels["1"]["486"] == -1


def test_only_the_two_known_documents_are_empty_and_no_query_is(cranfield):
    assert [doc.doc_id for doc in cranfield.docs() if not doc.text] == ["471", "995"]
    assert all(cranfield.topics.values())


def test_every_text_has_single_spaces_and_documents_can_be_read_again(cranfield):
    first = list(cranfield.docs())
    assert all(doc.text == " ".join(doc.text.split()) for doc in first)
    assert list(cranfield.docs()) == first


def test_grades_are_those_of_the_collection(cranfield):
    found = Counter(grade for judged in cranfield.qrels.values() for grade in judged.values())
    assert set(found) == {-1, 1, 2, 3, 4}
    assert sum(found[grade] for grade in (1, 2, 3, 4)) == 1612


_COMPARE = """
from rarityir.datasets import embedded, irds
ours, theirs = embedded.cranfield(), irds.load("cranfield")
assert list(ours.docs()) == list(theirs.docs()), "documents"
assert dict(ours.topics) == dict(theirs.topics), "topics"
assert list(ours.topics) == list(theirs.topics), "order of topics"
assert ours.qrels == theirs.qrels, "qrels"
assert ours.docs_count == theirs.docs_count, "count"
print("equal", len(ours.topics))
"""


def test_it_equals_ir_datasets_cranfield_record_for_record(collections):
    # In a process of its own: ir_datasets fixes its home when it is first imported.
    done = subprocess.run(
        [sys.executable, "-c", _COMPARE], env={**os.environ, "IR_DATASETS_HOME": str(collections)}, capture_output=True, text=True
    )
    assert done.stdout == "equal 225\n", done.stderr
