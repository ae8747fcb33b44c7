"""Ids are what rows say, however many there are and wherever the earlier ones lie."""

from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_128_digest, xxh3_128_hexdigest

from pipelines.naming import Names, _Stored

HASHES = st.sampled_from([first * 8 + second * 8 for first in (b"a", b"b", b"\xff") for second in (b"a", b"b", b"\0")])
BATCHES = st.lists(st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), max_size=6), max_size=8)


@given(batches=BATCHES)
def test_ids_are_the_same_whether_the_earlier_ones_are_in_memory_or_in_the_file(batches: list[list[bytes]]) -> None:
    large, small = Names(), Names(in_memory=2)
    assert [large(batch) for batch in batches] == [small(batch) for batch in batches]
    assert len(small.seen) <= 2


@given(batches=BATCHES)
def test_no_two_rows_have_one_id_and_the_first_to_say_something_has_its_hash(batches: list[list[bytes]]) -> None:
    names, told, firsts = Names(in_memory=2), [], set()
    for batch in batches:
        for said, name in zip(batch, names(batch), strict=True):
            assert (name == xxh3_128_hexdigest(said)) == (said not in firsts)
            firsts.add(said)
            told.append(name)
    assert len(set(told)) == len(told)


def test_a_row_that_says_the_name_of_another_ones_repetition_is_named_otherwise() -> None:
    digest = xxh3_128_digest(b"a")
    names = Names(in_memory=1)
    first, second = names([b"a", b"a"])
    made = digest + (1).to_bytes(8, "little")  # what the repetition is the hash of
    (third,) = names([made])
    assert len({first, second, third}) == 3


@given(added=st.lists(st.dictionaries(HASHES, st.integers(0, 9), min_size=1), max_size=14), asked=st.lists(HASHES))
def test_the_file_holds_what_was_added_last_however_often_it_was_merged(
    added: list[dict[bytes, int]], asked: list[bytes]
) -> None:
    stored, known = _Stored(), dict[bytes, int]()
    for some in added:
        stored.add(some)
        stored.tidy()
        known |= some
    assert stored.find(asked) == {one: known[one] for one in asked if one in known}
