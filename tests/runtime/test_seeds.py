"""The seed tree: equal paths, equal numbers; other paths, other numbers."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from medgain.runtime.seeds import SeedTree

paths = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4)


@given(st.integers(0, 2**32), paths)
def test_equal_paths_give_equal_numbers(seed, path):
    assert SeedTree(seed).child(*path).integer() == SeedTree(seed).child(*path).integer()
    stepwise = SeedTree(seed)
    for name in path:
        stepwise = stepwise.child(name)
    assert stepwise.integer() == SeedTree(seed).child(*path).integer()


@given(st.integers(0, 2**32), paths, paths)
def test_other_paths_give_other_numbers(seed, one, other):
    same = SeedTree(seed).child(*one).integer() == SeedTree(seed).child(*other).integer()
    assert same == (one == other)


def test_drawing_from_one_node_leaves_its_siblings_alone():
    tree = SeedTree(3)
    before = tree.child("b").numpy().integers(1 << 30, size=4)
    tree.child("a").numpy().integers(1 << 30, size=400)
    assert (tree.child("b").numpy().integers(1 << 30, size=4) == before).all()


def test_torch_generator_is_seeded_and_leaves_the_global_one_alone():
    state = torch.get_rng_state()
    first = torch.rand(3, generator=SeedTree(1).child("x").torch())
    again = torch.rand(3, generator=SeedTree(1).child("x").torch())
    assert torch.equal(first, again)
    assert torch.equal(state, torch.get_rng_state())


def test_integers_fit_torch_and_are_spread():
    values = [SeedTree(0).child(i).integer() for i in range(200)]
    assert len(set(values)) == 200
    assert all(0 <= value < 2**63 for value in values)
