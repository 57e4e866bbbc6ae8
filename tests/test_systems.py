"""A system's name is its configuration: what is read is written back, and what cannot be read is one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarityir import registry
from rarityir.systems import Part, System, expand, slug, split
from rarityir.types import RarityError, UnknownName

WORDS = st.from_regex(r"[a-z][a-z0-9]{0,3}", fullmatch=True)
NUMBERS = st.integers(0, 999).map(str) | st.floats(0, 9, allow_nan=False).map(lambda x: f"{x:.2f}")
OPTIONS = st.lists(st.tuples(WORDS, NUMBERS).map("=".join), min_size=1, max_size=3).map(",".join)
ARGS = st.just("") | NUMBERS | OPTIONS | st.tuples(NUMBERS, OPTIONS).map(",".join)
FILTERS = st.lists(st.builds(Part, st.sampled_from(sorted(registry.TABLES["filters"])), ARGS), max_size=3).map(tuple)
READING = ["dense", "sparse", "milvus:dense", "milvus:sparse", "qdrant:dense", "qdrant:sparse"]
LEAVES = st.builds(System, st.builds(Part, st.sampled_from(READING), ARGS), FILTERS) | st.builds(
    System, st.builds(Part, st.sampled_from(["bm25", "bm25-idf"]), ARGS)
)
SYSTEMS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda fusion, parts: System(fusion=fusion, parts=tuple(parts)),
        st.builds(Part, st.sampled_from(["rrf", "combsum"]), ARGS),
        st.lists(inner, min_size=2, max_size=4),
    ),
    max_leaves=8,
)


@given(SYSTEMS)
def test_a_name_reads_back_as_the_system_it_names(system):
    assert System.parse(str(system)) == system


@given(st.lists(SYSTEMS, min_size=1, max_size=5))
def test_a_list_of_names_splits_into_the_systems_it_lists(systems):
    assert [System.parse(piece) for piece in split(",".join(map(str, systems)))] == systems


@given(SYSTEMS, SYSTEMS)
def test_distinct_systems_have_distinct_slugs_that_are_file_names(one, other):
    assert not set(one.slug) & set("/:\\?*<>| ")
    assert (one.slug == other.slug) == (one == other)


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("bm25", System(Part("bm25"))),
        ("dense", System(Part("dense"))),
        ("dense+edge:2", System(Part("dense"), (Part("edge", "2"),))),
        ("milvus:sparse:64+edge:2", System(Part("milvus:sparse", "64"), (Part("edge", "2"),))),
        ("milvus:bm25:k1=1.2,b=0.75", System(Part("milvus:bm25", "k1=1.2,b=0.75"))),
        ("qdrant:dense:hnsw,16,ef=9", System(Part("qdrant:dense", "hnsw,16,ef=9"))),
        ("sparse:64+edge:2", System(Part("sparse", "64"), (Part("edge", "2"),))),
        (
            "rrf(bm25,dense+edge:2)",
            System(fusion=Part("rrf"), parts=(System(Part("bm25")), System(Part("dense"), (Part("edge", "2"),)))),
        ),
    ],
)
def test_the_documented_names_mean_what_they_say(text, system):
    assert System.parse(text) == system
    assert str(system) == text


def test_commas_inside_an_argument_do_not_split_a_fusion():
    system = System.parse("combsum:w=0.3(bm25:k1=0.9,b=0.4,dense+random:2,seed=7,rrf:k=10(sparse:64,dense))")
    assert system.fusion == Part("combsum", "w=0.3")
    assert [str(part) for part in system.parts] == ["bm25:k1=0.9,b=0.4", "dense+random:2,seed=7", "rrf:k=10(sparse:64,dense)"]


def test_an_option_goes_on_with_an_argument_and_with_nothing_else():
    assert split("bm25:k1=0.9,b=0.4") == ["bm25:k1=0.9,b=0.4"]
    assert split("bm25,b=0.4") == ["bm25", "b=0.4"]


def test_a_code_of_vectors_goes_on_with_an_argument():
    listed = ["bm25", "dense:ivf4096,pq64", "dense:hnsw,32,ef=128", "dense:ivf64,sq8+edge:2", "dense"]
    assert split(",".join(listed)) == listed
    system = System.parse("rrf(bm25,dense:ivf4096,pq64+edge:2,dense:hnsw,32)")
    assert [str(part) for part in system.parts] == ["bm25", "dense:ivf4096,pq64+edge:2", "dense:hnsw,32"]
    assert split("dense:sq8,bm26") == ["dense:sq8", "bm26"]  # a misspelt name is still one
    assert split("dense,pq64") == ["dense", "pq64"]


def test_blanks_around_names_are_no_part_of_them():
    assert System.parse(" rrf( bm25 , dense+edge:2 )\n") == System.parse("rrf(bm25,dense+edge:2)")


def test_empty_places_in_a_list_name_nothing():
    assert split("bm25,,dense,") == ["bm25", "dense"]
    assert split("") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dnese", "unknown system 'dnese'; did you mean dense?"),
        ("BM25", "unknown system 'BM25'; did you mean bm25?"),
        ("dense+egde:2", "unknown filter 'egde'; did you mean edge"),
        ("rff(bm25,dense)", "unknown fusion 'rff'; did you mean rrf?"),
        ("rrf(bm25:k1=0.9,b=0.4,dnese)", "unknown system 'dnese'; did you mean dense?"),
        ("rrf(dense,sprase:64)", "unknown system 'sprase'; did you mean sparse?"),
        ("milvus:seismic", "unknown system 'milvus'; did you mean milvus:"),
        ("qdrant:bm25", "unknown system 'qdrant'; did you mean qdrant:"),
        ("rrf(bm25,qdrnat:dense)", "unknown system 'qdrnat'; did you mean qdrant?"),
        ("qqq", "unknown system 'qqq'; known: axes, bm25, bm25-idf, dense, milvus, qdrant, seismic, sparse"),
    ],
)
def test_a_misspelt_name_is_unknown_and_the_near_one_is_named(text, message):
    with pytest.raises(UnknownName) as caught:
        System.parse(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read"),
        ("dense:", "cannot read"),
        ("dense+", "cannot read"),
        ("dense edge:2", "cannot read"),
        ("rrf(bm25,dense)+edge:2", "cannot read"),
        ("rrf(bm25,dense", "cannot read"),
        ("rrf(bm25,dense))", "unbalanced"),
        ("rrf(bm25)", "fewer than two"),
        ("rrf()", "fewer than two"),
        ("bm25+edge:2", "bm25 reads text"),
        ("milvus:bm25+edge:2", "milvus:bm25 reads text, which a filter cannot change"),
        ("rrf(dense,bm25+edge:2)", "bm25 reads text"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_says_why(text, message):
    with pytest.raises(RarityError, match=rf"^[^\n]*{message}[^\n]*$"):
        System.parse(text)


@given(st.text(alphabet="bm25densrfpark:+,()=. ", max_size=30))
def test_no_text_makes_the_reader_stumble(text):
    try:
        system = System.parse(text)
    except RarityError as error:
        said = str(error)
    else:
        said = str(system)
        assert System.parse(said) == system
    assert "\n" not in said


def test_a_slug_keeps_paths_apart_from_names():
    assert slug("Qwen/Qwen2.5-0.5B") == "Qwen--Qwen2.5-0.5B"
    assert slug("dense+edge:2") == "dense+edge_2"


def test_braces_stand_for_several_systems_in_order():
    assert expand("sparse:{16,64}{,+edge:2}") == ["sparse:16", "sparse:16+edge:2", "sparse:64", "sparse:64+edge:2"]
    assert expand("rrf(bm25,sparse:{8},query=both:4)") == ["rrf(bm25,sparse:8,query=both:4)"]
    assert expand("bm25") == ["bm25"]
    assert split("dense{,+edge:2},sparse:{8,16},query=both:4,bm25") == ["dense{,+edge:2}", "sparse:{8,16},query=both:4", "bm25"]


@pytest.mark.parametrize("text", ["sparse:{16,64", "sparse:16}", "a}{b"])
def test_a_brace_without_its_other_is_an_error(text):
    with pytest.raises(RarityError, match="unbalanced braces"):
        expand(text)


def test_an_experiment_takes_braces():
    from rarityir.experiment import Experiment

    found = Experiment(systems=("dense{,+edge:2}", "dense", "bm25"), baseline="dense").check()
    assert [str(system) for system in found] == ["dense", "dense+edge:2", "bm25"]


def test_braces_where_one_system_is_wanted_are_an_error_that_names_one():
    with pytest.raises(RarityError, match="several systems where one is wanted, such as sparse:16;"):
        System.parse("sparse:{16,64}")
    with pytest.raises(RarityError, match="unbalanced braces"):
        System.parse("sparse:16}")
