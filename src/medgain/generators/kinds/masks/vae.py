"""A small variational autoencoder over one-hot masks: where `masks: generated` come from.

Kingma and Welling 2014, Auto-Encoding Variational Bayes (arXiv:1312.6114). New codes are drawn
from a Gaussian fitted to the training masks' codes rather than from the prior, because the two
differ with few masks (Ghosh et al. 2020, From Variational to Deterministic Autoencoders,
arXiv:1903.12436).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate, one_hot

from medgain.generators.training.model import adam, fresh_weights

MAX_SIDE_PX = 64  # outlines are smooth: larger masks are made at this size and enlarged
CODE_SIZE = 32
BATCH_SIZE = 16
LEARNING_RATE = 1e-3
_WIDTHS = (8, 16, 32, 64)


class MaskVae:
    """Encoder and decoder between masks (N, H, W) and codes (N, 32), on the CPU.

    Args:
        size_px: of the masks, a power of two.
        codes: how many values masks have, the background included.
        seed: of the weights.
    """

    def __init__(self, size_px: int, codes: int, seed: int) -> None:
        self.size_px, self.codes = size_px, codes
        self.side_px = min(size_px, MAX_SIDE_PX)
        widths = _WIDTHS[: self.side_px.bit_length() - 3]
        with fresh_weights(seed):
            self.encoder = _encoder(codes, widths)
            self.decoder = _decoder(codes, widths)

    def encoded(self, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return means and log variances, (N, 32) each, of masks (N, side, side) int64."""
        planes = one_hot(masks, self.codes).permute(0, 3, 1, 2).float()
        mean, log_variance = self.encoder(planes).chunk(2, dim=1)
        return mean, log_variance.clamp(-12.0, 4.0)

    @torch.no_grad()
    def decoded(self, code: torch.Tensor) -> np.ndarray:
        """Return the likeliest masks (N, H, W) uint8 of codes (N, 32)."""
        logits = self.decoder(code)
        logits = interpolate(logits, size=(self.size_px, self.size_px), mode="bilinear")
        masks: np.ndarray = logits.argmax(dim=1).to(torch.uint8).numpy()
        return masks

    def small(self, masks: np.ndarray) -> np.ndarray:
        """Return masks (N, H, W) at the autoencoder's own size, by nearest neighbour."""
        step = self.size_px // self.side_px
        return np.ascontiguousarray(masks[:, step // 2 :: step, step // 2 :: step])


def train_mask_vae(
    model: MaskVae,
    masks: np.ndarray,
    deform: Callable[[np.ndarray], np.ndarray],
    steps: int,
    random: torch.Generator,
) -> None:
    """Maximise the evidence lower bound on deformed `masks`, uint8 (N, H, W)."""
    small = model.small(masks)
    networks = nn.ModuleList([model.encoder, model.decoder])
    optimiser = adam(networks, LEARNING_RATE, (0.9, 0.999))
    for _ in range(steps):
        rows = torch.randint(len(small), (BATCH_SIZE,), generator=random).numpy()
        batch = torch.from_numpy(deform(small[rows])).long()
        mean, log_variance = model.encoded(batch)
        noise = torch.randn(mean.shape, generator=random)
        logits = model.decoder(mean + noise * (log_variance / 2).exp())
        wrong = cross_entropy(logits, batch, reduction="sum")
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        optimiser.zero_grad(set_to_none=True)
        ((wrong + divergence) / BATCH_SIZE).backward()
        optimiser.step()


@torch.no_grad()
def encode_masks(model: MaskVae, masks: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean (D,) of the codes of `masks`, and a root (D, D) of their covariance."""
    small = model.small(masks)
    chunks = [
        model.encoded(torch.from_numpy(small[start : start + BATCH_SIZE]).long())
        for start in range(0, len(small), BATCH_SIZE)
    ]
    means = torch.cat([mean for mean, _ in chunks]).double()
    variances = torch.cat([log_variance for _, log_variance in chunks]).double().exp()
    centred = means - means.mean(dim=0)
    covariance = centred.T @ centred / max(len(means) - 1, 1) + torch.diag(variances.mean(dim=0))
    return means.mean(dim=0).float(), torch.linalg.cholesky(covariance).float()


def _encoder(codes: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip([codes, *widths], widths, strict=False):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * 16, 2 * CODE_SIZE))


def _decoder(codes: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Linear(CODE_SIZE, widths[-1] * 16),
        nn.Unflatten(1, (widths[-1], 4, 4)),
    ]
    for before, after in zip(reversed(widths), [*reversed(widths[:-1]), widths[0]], strict=True):
        layers += [
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(before, after, 3, padding=1),
        ]
    return nn.Sequential(*layers, nn.LeakyReLU(0.2), nn.Conv2d(widths[0], codes, 3, padding=1))
