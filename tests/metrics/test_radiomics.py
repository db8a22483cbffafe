"""Radiomics: held against scikit-image, PyWavelets, naive code and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.metrics.radiomics.features import radiomics
from medgain.metrics.radiomics.intensity import byte_counts, moments
from medgain.metrics.radiomics.spectrum import haar, power_spectrum, wavelet
from medgain.metrics.radiomics.textures import (
    ANGLES,
    glcm,
    glcm_features,
    glrlm,
    glrlm_features,
    lbp_histogram,
    quantise,
)
from medgain.runtime.errors import DataError


def images(count: int = 4, size: tuple[int, int] = (48, 40), channels: int = 1) -> np.ndarray:
    """Smooth random images with some texture, uint8."""
    rng = np.random.default_rng(3)
    steps = rng.normal(size=(count, *size, channels)).cumsum(1).cumsum(2)
    low, high = steps.min((1, 2), keepdims=True), steps.max((1, 2), keepdims=True)
    noise = rng.integers(0, 20, steps.shape)
    return ((steps - low) / (high - low) * 230 + noise).astype(np.uint8)


def by_name(pixels: np.ndarray) -> dict[str, np.ndarray]:
    values, names = radiomics(pixels)
    return dict(zip(names, values.T, strict=True))


class TestWhole:
    def test_a_few_hundred_finite_numbers_with_names_of_their_own(self) -> None:
        for channels, width in ((1, 228), (3, 254)):
            values, names = radiomics(images(channels=channels))
            assert values.shape == (4, width) and values.dtype == np.float64
            assert len(set(names)) == len(names) == width
            assert np.isfinite(values).all()

    @settings(max_examples=25, deadline=None)
    @given(
        height=st.integers(16, 70),
        width=st.integers(16, 70),
        channels=st.integers(1, 4),
        deep=st.booleans(),
        kind=st.sampled_from(["black", "white", "grey", "one pixel", "half", "noise"]),
    )
    def test_finite_whatever_the_image(
        self, height: int, width: int, channels: int, deep: bool, kind: str
    ) -> None:
        kept = np.uint16 if deep else np.uint8
        white = int(np.iinfo(kept).max)
        pixels = np.zeros((2, height, width, channels), kept)
        if kind in ("white", "grey"):
            pixels[:] = white if kind == "white" else white // 3
        elif kind == "one pixel":
            pixels[:, height // 2, width // 3] = 1
        elif kind == "half":
            pixels[:, : height // 2] = white
        elif kind == "noise":
            pixels[:] = np.random.default_rng(0).integers(0, white, pixels.shape)
        values, names = radiomics(pixels)
        assert values.shape == (2, len(names)) and np.isfinite(values).all()

    def test_an_image_counts_the_same_alone_in_a_batch_and_on_threads(self) -> None:
        pixels = images(40, (96, 96))
        together = radiomics(pixels)[0]
        alone = np.concatenate([radiomics(pixels[i : i + 1])[0] for i in range(0, 40, 13)])
        np.testing.assert_allclose(alone, together[::13], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(radiomics(pixels, threads=3)[0], together)

    def test_depth_does_not_matter_but_the_value_does(self) -> None:
        pixels = images()
        deep = pixels.astype(np.uint16) * 257
        np.testing.assert_allclose(radiomics(deep)[0], radiomics(pixels)[0], rtol=1e-4, atol=1e-4)
        twelve_bits = pixels.astype(np.uint16) * 16
        np.testing.assert_allclose(
            radiomics(twelve_bits, 255 * 16)[0], radiomics(pixels)[0], rtol=1e-4, atol=1e-4
        )

    def test_no_images_still_have_names(self) -> None:
        values, names = radiomics(np.zeros((0, 32, 32, 1), np.uint8))
        assert values.shape == (0, len(names)) == (0, 228)

    @pytest.mark.parametrize(
        ("pixels", "white", "words"),
        [
            (np.zeros((2, 32, 32), np.uint8), None, "shape"),
            (np.zeros((2, 32, 32, 1), np.float32), None, "float32"),
            (np.zeros((2, 32, 15, 1), np.uint8), None, "16 px"),
            (np.zeros((2, 32, 32, 1), np.uint8), 0, "full white"),
        ],
    )
    def test_what_is_no_image_is_refused(
        self, pixels: np.ndarray, white: int | None, words: str
    ) -> None:
        with pytest.raises(DataError, match=words):
            radiomics(pixels, white)


class TestMeaning:
    """Each family answers to what it is named after."""

    def test_turning_over_changes_the_layout_and_not_the_distribution(self) -> None:
        pixels = images()
        upright, turned = by_name(pixels), by_name(pixels[:, ::-1])
        for name, values in upright.items():
            if name.startswith("first_order"):
                np.testing.assert_allclose(values, turned[name], rtol=1e-4, atol=1e-6)
        assert np.abs(upright["layout.mean_00"] - turned["layout.mean_00"]).max() > 0.05

    def test_colour_is_seen(self) -> None:
        pixels = images(channels=3)
        swapped = by_name(np.ascontiguousarray(pixels[..., ::-1]))
        names = by_name(pixels)
        np.testing.assert_allclose(names["colour.channel0_mean"], swapped["colour.channel2_mean"])
        grey = by_name(np.repeat(images(), 3, axis=3))
        assert np.allclose(grey["colour.saturation_mean"], 0)
        assert np.allclose(grey["colour.correlation_01"], 1, atol=1e-4)

    def test_percentiles_and_moments(self) -> None:
        pixels = images(1, (64, 64))
        values = pixels[0].ravel() / 255
        found = by_name(pixels)
        assert found["first_order.mean"][0] == pytest.approx(values.mean(), abs=1e-6)
        assert found["first_order.sd"][0] == pytest.approx(values.std(), abs=1e-6)
        assert found["first_order.p25"][0] == pytest.approx(np.quantile(values, 0.25), abs=4e-3)
        z = (values - values.mean()) / values.std()
        skewness, kurtosis = (z**3).mean(), (z**4).mean() - 3
        raw = moments(values[None].astype(np.float32))[0, 2:]
        expected = [np.sign(v) * np.log1p(abs(v)) for v in (skewness, kurtosis)]
        np.testing.assert_allclose(raw, expected, atol=1e-4)

    def test_byte_counts(self) -> None:
        codes = np.random.default_rng(0).integers(0, 256, (3, 20, 30)).astype(np.uint8)
        expected = [np.bincount(code.ravel(), minlength=256) for code in codes]
        np.testing.assert_array_equal(byte_counts(codes), expected)


class TestCoOccurrence:
    def test_matrices_and_features_are_scikit_images(self) -> None:
        feature = pytest.importorskip("skimage.feature")
        grey = np.random.default_rng(0).integers(0, 16, (2, 33, 40)).astype(np.uint8)
        grey[1] //= 4
        turns = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
        for distance in (1, 2, 4):
            for (rows, columns), turn in zip(ANGLES, turns, strict=True):
                ours = glcm(grey, rows * distance, columns * distance)
                reach = np.hypot(rows * distance, columns * distance)
                for image, matrix in zip(grey, ours, strict=True):
                    theirs = feature.graycomatrix(image, [reach], [turn], 16, True, True)
                    np.testing.assert_allclose(matrix, theirs[:, :, 0, 0], atol=1e-12)
                    self._same_features(feature, glcm_features(matrix[None])[0], theirs)

    @staticmethod
    def _same_features(feature: object, ours: np.ndarray, theirs: np.ndarray) -> None:
        names = ("contrast", "dissimilarity", "homogeneity", "ASM")
        expected = [feature.graycoprops(theirs, name)[0, 0] for name in names]  # type: ignore[attr-defined]
        np.testing.assert_allclose(ours[:4], expected, rtol=1e-9)
        correlation = feature.graycoprops(theirs, "correlation")[0, 0]  # type: ignore[attr-defined]
        assert ours[7] == pytest.approx(correlation, abs=1e-9)

    def test_stripes(self) -> None:
        grey = np.zeros((1, 8, 9), np.uint8)
        grey[:, :, ::2] = 15
        along, across = (glcm_features(glcm(grey, r, c))[0] for r, c in ((1, 0), (0, 1)))
        assert along[0] == 0 and along[7] == pytest.approx(1)
        assert across[0] == 225 and across[7] == pytest.approx(-1)
        assert across[4] == pytest.approx(1)  # two equally frequent cells: one bit

    def test_quantiser_uses_every_level_and_survives_a_flat_image(self) -> None:
        ramp = np.tile(np.linspace(0.4, 0.5, 100, dtype=np.float32), (1, 100, 1))
        assert set(np.unique(quantise(ramp))) == set(range(16))
        assert not quantise(np.full((1, 20, 20), 0.7, np.float32)).any()
        sparse = np.zeros((1, 50, 50), np.float32)
        sparse[0, 0, 0] = 1  # beyond both percentiles
        assert quantise(sparse)[0, 0, 0] == 15


def naive_runs(image: np.ndarray, rows: int, columns: int) -> dict[tuple[int, int], int]:
    """Count runs pixel by pixel: {(grey, length): count}."""
    height, width = image.shape
    found: dict[tuple[int, int], int] = {}
    for y in range(height):
        for x in range(width):
            before = (y - rows, x - columns)
            inside = 0 <= before[0] < height and 0 <= before[1] < width
            if inside and image[before] == image[y, x]:
                continue
            length, here = 0, (y, x)
            while 0 <= here[0] < height and 0 <= here[1] < width and image[here] == image[y, x]:
                length, here = length + 1, (here[0] + rows, here[1] + columns)
            key = (int(image[y, x]), length)
            found[key] = found.get(key, 0) + 1
    return found


class TestRunLengths:
    @settings(max_examples=20, deadline=None)
    @given(height=st.integers(2, 12), width=st.integers(2, 12), seed=st.integers(0, 99))
    def test_runs_are_those_of_naive_code(self, height: int, width: int, seed: int) -> None:
        grey = np.random.default_rng(seed).integers(0, 3, (2, height, width)).astype(np.uint8)
        for rows, columns in ANGLES:
            matrix = glrlm(grey, rows, columns)
            for image, counts in zip(grey, matrix, strict=True):
                expected = np.zeros_like(counts)
                for (level, length), count in naive_runs(image, rows, columns).items():
                    expected[level, length - 1] = count
                np.testing.assert_array_equal(counts, expected)

    def test_closed_forms(self) -> None:
        constant = glrlm(np.zeros((1, 10, 10), np.uint8), 0, 1)  # 10 runs of 10, grey 1
        found = glrlm_features(constant)[0]
        shares = [1 / 100, np.log(100), 10 / 10, 10 / 10, 10 / 100, 1, 1, 1 / 100, 1 / 100]
        np.testing.assert_allclose(found, [*shares, np.log(100), np.log(100)], rtol=1e-12)
        board = (np.indices((10, 10)).sum(0) % 2).astype(np.uint8)[None]  # 100 runs of 1
        found = glrlm_features(glrlm(board, 1, 0))[0]
        assert found[0] == 1 and found[1] == 0 and found[4] == 1
        assert found[2] == pytest.approx(0.5)  # two grey levels, equally frequent
        assert found[6] == pytest.approx((1 + 4) / 2)


class TestBinaryPatterns:
    def test_histograms_are_scikit_images(self) -> None:
        feature = pytest.importorskip("skimage.feature")
        pixels = np.random.default_rng(1).random((2, 40, 37)).astype(np.float32)
        for radius in (1, 2, 4):
            for image, ours in zip(pixels, lbp_histogram(pixels, radius), strict=True):
                with pytest.warns(UserWarning, match="floating-point"):
                    codes = feature.local_binary_pattern(
                        image.astype(np.float64), 8, radius, "uniform"
                    )
                inner = codes[radius:-radius, radius:-radius].astype(int).ravel()
                theirs = np.bincount(inner, minlength=10) / inner.size
                np.testing.assert_allclose(ours, theirs, atol=1e-12)

    def test_flat_stays_flat_at_any_grey(self) -> None:
        for grey in np.linspace(0, 1, 17, dtype=np.float32):
            for radius in (1, 2, 4):
                shares = lbp_histogram(np.full((1, 20, 20), grey), radius)[0]
                assert shares[8] == 1  # every neighbour at least as bright


class TestSpectrum:
    def test_haar_is_pywavelets(self) -> None:
        pywt = pytest.importorskip("pywt")
        pixels = np.random.default_rng(2).random((2, 32, 48)).astype(np.float32)
        rest, (across, down, both) = haar(pixels)
        for index in range(2):
            approximation, details = pywt.dwt2(pixels[index].astype(np.float64), "haar")
            np.testing.assert_allclose(rest[index], approximation, atol=1e-5)
            for ours, theirs in zip((down, across, both), details, strict=True):
                np.testing.assert_allclose(ours[index], theirs, atol=1e-5)

    def test_wavelet_energies_add_up_to_the_variance(self) -> None:
        pixels = images(3, (64, 64))[..., 0].astype(np.float32) / 255
        names, values = wavelet(pixels)
        energy = [place for place, name in enumerate(names) if name.endswith("energy")]
        details = (10 ** values[:, energy]).sum(1)
        coarse = pixels.reshape(3, 4, 16, 4, 16).mean((2, 4)).reshape(3, -1).var(1)
        total = details + coarse / pixels.reshape(3, -1).var(1)
        np.testing.assert_allclose(total, 1, atol=1e-3)

    def test_evenness_of_noise(self) -> None:
        noise = np.random.default_rng(0).normal(0.5, 0.1, (1, 256, 256)).astype(np.float32)
        names, values = wavelet(noise)
        found = values[0, names.index("wavelet.diagonal_1_evenness")]
        assert found == pytest.approx(2 / np.pi, abs=0.01)

    @pytest.mark.parametrize("cycles", [3, 9, 17, 30])
    def test_a_wave_lights_its_ring_and_its_direction(self, cycles: int) -> None:
        across = np.sin(2 * np.pi * cycles * np.arange(64) / 64).astype(np.float32) / 4 + 0.5
        names, values = power_spectrum(np.tile(across, (1, 64, 1)))
        rings = values[0, :16]
        assert rings.argmax() in ((cycles - 1) // 2, cycles // 2)
        first = names.index("spectrum.direction_0")
        directions = values[0, first : first + 8]
        assert directions.argmax() == 0
        assert directions[0] > (0.9 if cycles > 5 else 0.6)

    def test_white_noise_is_flat_and_an_upsampled_grid_is_seen(self) -> None:
        noise = np.random.default_rng(0).normal(0.5, 0.1, (30, 128, 128)).astype(np.float32)
        names, values = power_spectrum(noise)
        assert abs(values[:, names.index("spectrum.slope")].mean()) < 0.05
        assert np.abs(values[:, :16].mean(0)).max() < 0.1
        grid = noise.copy()
        grid[:, ::2, ::2] += 0.1
        place = names.index("spectrum.grid_2px")
        assert power_spectrum(grid)[1][0, place] > values[0, place] + 0.3

    def test_blur_steepens_the_slope(self) -> None:
        noise = np.random.default_rng(0).normal(0.5, 0.1, (1, 128, 128)).astype(np.float32)
        soft = (noise + np.roll(noise, 1, 1) + np.roll(noise, 1, 2)) / 3
        place = power_spectrum(noise)[0].index("spectrum.slope")
        assert power_spectrum(soft)[1][0, place] < power_spectrum(noise)[1][0, place] - 0.1
