"""Fidelity scores: held against torchmetrics, torch-fidelity, naive code and closed forms."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.metrics.fidelity import (
    disjoint_halves,
    equal_n,
    frechet_distance,
    half_sample_se,
    kernel_distance,
    prdc,
    real_null,
    standardise,
)
from medgain.metrics.fidelity.kernel import mmd2_of_subsets
from medgain.metrics.fidelity.subsets import subset_masks
from medgain.runtime.errors import DataError

torch = pytest.importorskip("torch")


def pair(
    n: int, m: int, d: int, shift: float = 0.3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of correlated features, the second moved and stretched."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d)) / np.sqrt(d)
    first = rng.normal(size=(n, d)) @ mix + 0.5
    return first, (rng.normal(size=(m, d)) * 1.2 + shift) @ mix + 0.5


def naive_mmd2(first: np.ndarray, second: np.ndarray) -> float:
    d = first.shape[1]

    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        pairs = [
            (float(a[i] @ b[j]) / d + 1) ** 3
            for i in range(len(a))
            for j in range(len(b))
            if not (same and i == j)
        ]
        return float(np.mean(pairs))

    return mean(first, first, True) + mean(second, second, True) - 2 * mean(first, second, False)


class TestKernelDistance:
    def test_subsets_are_torchmetrics_and_torch_fidelity_to_the_digit(self) -> None:
        theirs = pytest.importorskip("torchmetrics.image.kid")
        fidelity = pytest.importorskip("torch_fidelity.metric_kid")
        first, second = pair(120, 130, 50)
        rng = np.random.default_rng(0)
        masks, others = subset_masks(120, 40, 5, rng), subset_masks(130, 40, 5, rng)
        ours = mmd2_of_subsets(first, second, masks, others)
        for value, mask, other in zip(ours, masks, others, strict=True):
            tensors = torch.from_numpy(first[mask]), torch.from_numpy(second[other])
            assert value == pytest.approx(float(theirs.poly_mmd(*tensors)), rel=1e-9)
            found = fidelity.kernel_mmd(first[mask], second[other])
            assert value == pytest.approx(found, rel=1e-9)

    def test_full_is_the_definition_also_in_several_blocks(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = pair(45, 37, 6)
        expected = naive_mmd2(first, second)
        for elements in (1, 1 << 21):  # blocks of 16 rows, and all at once
            monkeypatch.setattr("medgain.metrics.fidelity.kernel._BLOCK_ELEMENTS", elements)
            found = kernel_distance(first, second, rng=np.random.default_rng(0))
            assert found.full == pytest.approx(expected, rel=1e-10)
            assert found.mean == pytest.approx(expected, abs=4 * found.sd / 10)

    def test_unbiased_and_never_clipped(self) -> None:
        rng = np.random.default_rng(1)
        values = [
            kernel_distance(
                rng.normal(size=(40, 8)), rng.normal(size=(40, 8)), subsets=2, rng=rng
            ).full
            for _ in range(300)
        ]
        assert min(values) < 0
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(300)

    def test_the_interval_covers_the_truth(self) -> None:
        """Of a shift of 0.3 in 4 dimensions; and of 0 between two draws of one distribution."""
        rng = np.random.default_rng(2)
        big = kernel_distance(
            rng.normal(size=(4000, 4)), rng.normal(size=(4000, 4)) + 0.3, subsets=2, rng=rng
        ).full
        hits = {0.0: 0, 0.3: 0}
        for shift in hits:
            truth = big if shift else 0.0
            for _ in range(100):
                first, second = rng.normal(size=(100, 4)), rng.normal(size=(100, 4)) + shift
                low, high = kernel_distance(first, second, subsets=50, rng=rng).interval
                hits[shift] += low <= truth <= high
        assert min(hits.values()) >= 90

    def test_subset_size_is_half_at_most(self) -> None:
        first, second = pair(20, 30, 3)
        assert kernel_distance(first, second, rng=np.random.default_rng(0)).subset_size == 10
        with pytest.raises(DataError, match="from 2 to 10"):
            kernel_distance(first, second, subset_size=11, rng=np.random.default_rng(0))
        with pytest.raises(DataError, match="no spread"):
            kernel_distance(first, second, subsets=1, rng=np.random.default_rng(0))

    def test_the_same_seed_gives_the_same(self) -> None:
        first, second = pair(30, 30, 5)
        one, two = (kernel_distance(first, second, rng=np.random.default_rng(7)) for _ in range(2))
        assert one == two


class TestFrechet:
    @pytest.mark.parametrize(("n", "m", "d"), [(300, 250, 40), (200, 500, 3), (90, 400, 64)])
    def test_full_rank_is_torchmetrics_and_torch_fidelity(self, n: int, m: int, d: int) -> None:
        theirs = pytest.importorskip("torchmetrics.image.fid")
        fidelity = pytest.importorskip("torch_fidelity.metric_fid")
        first, second = pair(n, m, d)
        ours = frechet_distance(first, second)
        means = [torch.from_numpy(x.mean(0)) for x in (first, second)]
        spreads = [torch.from_numpy(np.atleast_2d(np.cov(x.T))) for x in (first, second)]
        peer = float(theirs._compute_fid(means[0], spreads[0], means[1], spreads[1]))
        assert ours == pytest.approx(peer, rel=1e-6)
        statistics = [
            {"mu": mean.numpy(), "sigma": spread.numpy()}
            for mean, spread in zip(means, spreads, strict=True)
        ]
        found = fidelity.fid_statistics_to_metric(*statistics, verbose=False)
        assert ours == pytest.approx(found["frechet_inception_distance"], rel=1e-6)

    @pytest.mark.parametrize(("n", "m", "d"), [(20, 30, 100), (20, 200, 50), (200, 20, 50)])
    def test_fewer_images_than_features_is_the_dense_formula(self, n: int, m: int, d: int) -> None:
        from scipy import linalg

        first, second = pair(n, m, d)
        one, two = np.cov(first.T), np.cov(second.T)
        values, vectors = linalg.eigh(one)
        root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        inner = np.maximum(linalg.eigvalsh(root @ two @ root), 0)
        gap = first.mean(0) - second.mean(0)
        expected = gap @ gap + np.trace(one) + np.trace(two) - 2 * np.sqrt(inner).sum()
        assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)

    @settings(max_examples=30, deadline=None)
    @given(n=st.integers(3, 40), d=st.integers(1, 40), scale=st.floats(0.1, 4))
    def test_stretched_and_moved_copies_have_closed_forms(
        self, n: int, d: int, scale: float
    ) -> None:
        first = np.random.default_rng(n * 41 + d).normal(size=(n, d))
        trace = first.var(0, ddof=1).sum()
        centred = first - first.mean(0)
        stretched = frechet_distance(centred, centred * scale)
        assert stretched == pytest.approx((1 - scale) ** 2 * trace, abs=1e-10 * (1 + trace))
        moved = frechet_distance(first, first + scale)
        assert moved == pytest.approx(scale**2 * d, abs=1e-9 * (1 + trace))

    def test_one_against_itself_is_zero_even_without_full_rank(self) -> None:
        first, _ = pair(50, 2, 200)
        assert abs(frechet_distance(first, first)) < 1e-10 * first.var(0).sum()

    def test_symmetric_and_order_free(self) -> None:
        first, second = pair(40, 60, 80)
        value = frechet_distance(first, second)
        assert frechet_distance(second, first) == pytest.approx(value, rel=1e-10)
        assert frechet_distance(first[::-1], second) == pytest.approx(value, rel=1e-10)


def naive_prdc(first: np.ndarray, second: np.ndarray, k: int) -> tuple[float, ...]:
    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))

    radii = np.sort(distances(first, first), 1)[:, k]
    others = np.sort(distances(second, second), 1)[:, k]
    between = distances(first, second)
    inside = between <= radii[:, None]
    return (
        inside.any(0).mean(),
        (between <= others[None]).any(1).mean(),
        inside.sum(0).mean() / k,
        inside.any(1).mean(),
    )


class TestPrdc:
    @settings(max_examples=30, deadline=None)
    @given(n=st.integers(8, 60), m=st.integers(8, 60), k=st.integers(1, 7), shift=st.floats(-1, 1))
    def test_naive_code_agrees_also_in_small_blocks(
        self, n: int, m: int, k: int, shift: float
    ) -> None:
        first, second = pair(n, m, 5, shift)
        expected = naive_prdc(first, second, k)
        with pytest.MonkeyPatch.context() as patch:
            for elements in (1, 1 << 21):
                patch.setattr("medgain.metrics.fidelity.neighbours._BLOCK_ELEMENTS", elements)
                found = prdc(first, second, k)
                values = (found.precision, found.recall, found.density, found.coverage)
                np.testing.assert_allclose(values, expected, rtol=1e-12)

    def test_precision_and_recall_are_torch_fidelitys(self) -> None:
        theirs = pytest.importorskip("torch_fidelity.metric_prc")
        first, second = pair(200, 200, 10, 0.5)
        found = prdc(first, second, 3)
        peer = theirs.prc_features_to_metric(
            torch.from_numpy(second), torch.from_numpy(first), verbose=False
        )
        assert found.precision == pytest.approx(peer["precision"], rel=1e-6)
        assert found.recall == pytest.approx(peer["recall"], rel=1e-6)

    def test_by_hand_on_a_line(self) -> None:
        real = np.array([[0.0], [1.0], [3.0]])  # balls at k = 1: radii 1, 1, 2
        synthetic = np.array([[0.5], [10.0], [10.5]])  # radii 9.5, 0.5, 0.5
        found = prdc(real, synthetic, k=1)
        assert (found.precision, found.recall) == (pytest.approx(1 / 3), 1.0)
        assert found.density == pytest.approx(2 / 3)  # 0.5 lies in the balls of 0 and 1
        assert found.coverage == pytest.approx(2 / 3)

    def test_far_apart_is_nothing_and_copies_are_everything(self) -> None:
        first, _ = pair(60, 2, 8)
        apart = prdc(first, first + 1000)
        assert (apart.precision, apart.recall, apart.density, apart.coverage) == (0, 0, 0, 0)
        copies = prdc(first, first)
        assert (copies.precision, copies.recall, copies.coverage) == (1, 1, 1)

    def test_a_far_offset_costs_no_digits(self) -> None:
        first, second = pair(80, 80, 6)
        assert prdc(first + 1e6, second + 1e6) == prdc(first, second)

    def test_one_distribution_gives_the_values_of_naeem(self) -> None:
        rng = np.random.default_rng(4)
        draws = [prdc(*rng.normal(size=(2, 300, 6)), 5) for _ in range(40)]
        steps = np.arange(1, 6)
        expected = 1 - np.prod((300 - steps) / (600 - steps))
        assert np.mean([d.coverage for d in draws]) == pytest.approx(expected, abs=0.005)
        assert np.mean([d.density for d in draws]) == pytest.approx(1, abs=0.02)

    def test_k_has_to_fit(self) -> None:
        first, second = pair(6, 5, 3)
        for k in (0, 5):
            with pytest.raises(DataError, match="choose k"):
                prdc(first, second, k)


class TestInputs:
    def test_standardise_by_the_reference_and_drop_what_is_constant_there(self) -> None:
        rng = np.random.default_rng(0)
        first, second = rng.normal(3, 2, (200, 4)), rng.normal(5, 2, (50, 4))
        first[:, 1] = 0.1 + 0.2  # constant, and not exactly so after summing
        second[:, 1] = np.arange(50)
        one, two = standardise(first, second)
        assert one.shape == (200, 3) and two.shape == (50, 3)
        np.testing.assert_allclose(one.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(one.std(0), 1, rtol=1e-12)
        assert (two.mean(0) > 0.5).all()

    def test_standardise_keeps_order_and_tames_what_lies_far_out(self) -> None:
        first = np.random.default_rng(0).normal(size=(500, 1))
        steps = np.array([[-1e3], [-2.0], [0.0], [1.0], [1e3], [1e6]])
        _, found = standardise(first, steps)
        assert (np.diff(found[:, 0]) > 0).all()
        assert found[3] - found[2] == pytest.approx(1.2, abs=0.2) and found[-1] < 30

    def test_equal_n_thins_the_larger_the_same_way_each_time(self) -> None:
        first, second = pair(30, 12, 4)
        one, two = equal_n(first, second, rng=np.random.default_rng(5))
        again, _ = equal_n(first, second, rng=np.random.default_rng(5))
        assert len(one) == len(two) == 12
        np.testing.assert_array_equal(one, again)
        np.testing.assert_array_equal(two, second)
        assert len({tuple(row) for row in one}) == 12

    @pytest.mark.parametrize(
        ("first", "second", "words"),
        [
            (np.zeros(5), np.zeros((5, 2)), "shape"),
            (np.zeros((5, 3)), np.zeros((5, 2)), "3 features and synthetic images 2"),
            (np.full((5, 2), np.nan), np.zeros((5, 2)), "NaN or infinite for 5 of 5"),
            (np.zeros((1, 2)), np.zeros((5, 2)), "hold 1 images"),
        ],
    )
    def test_what_cannot_be_scored_is_refused(
        self, first: np.ndarray, second: np.ndarray, words: str
    ) -> None:
        calls = (
            lambda: frechet_distance(first, second),
            lambda: prdc(first, second, 1),
            lambda: kernel_distance(first, second, rng=np.random.default_rng(0)),
        )
        for call in calls:
            with pytest.raises(DataError, match=words):
                call()

    def test_features_without_variation_are_refused(self) -> None:
        with pytest.raises(DataError, match="constant"):
            standardise(np.full((5, 2), 0.1))
        with pytest.raises(DataError, match="one scale"):
            standardise(np.eye(5), np.eye(4))


class TestSplits:
    @settings(max_examples=40, deadline=None)
    @given(count=st.integers(2, 80), patients=st.integers(1, 30), seed=st.integers(0, 1000))
    def test_halves_are_disjoint_and_keep_patients_whole(
        self, count: int, patients: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        groups = np.array([f"p{i}" for i in rng.integers(0, patients, count)])
        one, two = disjoint_halves(count, rng, groups)
        assert sorted([*one, *two]) == list(range(count))
        assert not set(groups[one]) & set(groups[two])
        largest = np.unique(groups, return_counts=True)[1].max()
        assert abs(len(one) - len(two)) <= largest

    def test_the_null_of_the_mean_has_its_known_spread(self) -> None:
        real = np.random.default_rng(0).normal(size=(400, 1))
        values = real_null(
            lambda a, b: float(a.mean() - b.mean()),
            real,
            count=50,
            splits=400,
            rng=np.random.default_rng(1),
        )
        assert values.shape == (400,)
        assert values.std() == pytest.approx(np.sqrt(2 / 50), rel=0.12)
        with pytest.raises(DataError, match="smaller half"):
            real_null(lambda a, b: 0.0, real, count=201, rng=np.random.default_rng(0))

    def test_half_samples_give_the_standard_error(self) -> None:
        rng = np.random.default_rng(0)
        first, second = rng.normal(size=(200, 1)), rng.normal(0, 2, (300, 1))
        se = half_sample_se(
            lambda a, b: float(a.mean() - b.mean()), first, second, replicates=600, rng=rng
        )
        expected = np.sqrt(first.var(ddof=1) / 200 + second.var(ddof=1) / 300)
        assert se == pytest.approx(expected, rel=0.1)


class TestMemory:
    def test_blocks_bound_what_is_held(self) -> None:
        """At 3,000 × 3,000 × 32 one distance matrix is 72 MB, an N × M × D array 2.3 GB."""
        rng = np.random.default_rng(0)
        first, second = rng.normal(size=(2, 3000, 32))
        tracemalloc.start()
        try:
            prdc(first, second)
            kernel_distance(first, second, subsets=20, rng=rng)
            frechet_distance(first, second)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 60e6
