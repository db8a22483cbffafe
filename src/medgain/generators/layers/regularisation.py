"""Losses and regularisers shared by GANs: cross-entropy, gradient penalties, path length, LeCam.

All return a scalar without its weight; the weights are the models' settings. Scores may have
any shape (B, …); an image's score is their sum over all but the batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

Memory = dict[str, torch.Tensor]


def cross_entropy_to(logits: torch.Tensor, target: float) -> torch.Tensor:
    """Return the mean cross-entropy of `logits` when each should say `target`: 1 real, 0 not."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def zero_centred_penalty(scores: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return the mean over images of ‖∇ score‖²: R1 on real images, R2 on synthetic ones.

    To be multiplied by γ/2. Mescheder, Geiger and Nowozin 2018, Which Training Methods for GANs
    do actually Converge? (arXiv:1801.04406); both together in R3GAN (Huang et al. 2024,
    arXiv:2501.05441).

    Args:
        scores: (B, …), computed from `images` in this graph.
        images: (B, C, H, W) that require a gradient: `requiring_gradient(step.real)`.
    """
    return _gradient(scores, images).square().flatten(1).sum(1).mean()


def wasserstein_penalty(
    score: Callable[[torch.Tensor], torch.Tensor],
    real: torch.Tensor,
    synthetic: torch.Tensor,
    random: torch.Generator,
) -> torch.Tensor:
    """Return the mean of (‖∇ score‖ − 1)² at random points between real and synthetic images.

    To be multiplied by λ = 10. Gulrajani et al. 2017, Improved Training of Wasserstein GANs
    (arXiv:1704.00028).

    Args:
        score: maps (B, C, H, W) to scores (B, …).
        random: a CPU generator that draws where between the two, `step.random`.
    """
    share = torch.rand(len(real), *[1] * (real.dim() - 1), generator=random).to(real.device)
    between = requiring_gradient(
        torch.lerp(synthetic.detach().float(), real.detach().float(), share)
    )
    norms = _gradient(score(between), between).flatten(1).norm(dim=1)
    return (norms - 1).square().mean()


def path_length_penalty(
    images: torch.Tensor,
    styles: torch.Tensor,
    random: torch.Generator,
    memory: Memory,
    *,
    decay: float = 0.01,
    name: str = "path_length",
) -> torch.Tensor:
    """Return the mean of (length − running mean length)², length being ‖Jᵀy‖ for normal y.

    J is the generator's Jacobian by its styles; y is an image of standard normal noise divided
    by √(H·W). To be multiplied by 2. Karras et al. 2020, Analyzing and Improving the Image
    Quality of StyleGAN (arXiv:1912.04958), section 3.2.

    Args:
        images: (B, C, H, W), made from `styles` in this graph.
        styles: (B, D), or (B, L, D) with one style per layer: then the mean over layers counts.
        random: draws y, on the CPU.
        memory: the model's `memory`; holds the running mean under `name`, which starts at 0.
        decay: share of the batch's mean length in the running mean.
    """
    noise = torch.randn(images.shape, generator=random).to(images.device)
    noise = noise / (images.shape[-2] * images.shape[-1]) ** 0.5
    total = (images.float() * noise).sum()
    (gradient,) = torch.autograd.grad(total, styles, create_graph=True)
    layers = gradient.float().reshape(len(styles), -1, styles.shape[-1])
    lengths = layers.square().sum(2).mean(1).sqrt()
    before = memory.get(name, lengths.new_zeros(())).to(lengths.device)
    mean = torch.lerp(before, lengths.detach().mean(), decay)
    memory[name] = mean
    return (lengths - mean).square().mean()


def lecam_penalty(
    real_scores: torch.Tensor,
    synthetic_scores: torch.Tensor,
    memory: Memory,
    *,
    decay: float = 0.99,
    name: str = "lecam",
) -> torch.Tensor:
    """Return the mean squared distance of scores from the other side's running mean.

    R = E‖D(x) − α_synthetic‖² + E‖D(G(z)) − α_real‖², where α are moving averages of the mean
    scores (the batch's included). To be multiplied by λ (0.3 in the published settings for
    BigGAN), from about step 1,000 on; call it before, too, so that the averages have settled.
    Tseng et al. 2021, Regularizing Generative Adversarial Networks under Limited Data
    (arXiv:2104.03310).

    Args:
        memory: the model's `memory`; holds both averages, which start at the first batch's.
    """
    averages = {}
    for side, scores in (("real", real_scores), ("synthetic", synthetic_scores)):
        mean = scores.detach().float().mean()
        before = memory.get(f"{name}_{side}")
        averages[side] = mean if before is None else torch.lerp(mean, before.to(mean), decay)
        memory[f"{name}_{side}"] = averages[side]
    to_synthetic = (real_scores.float() - averages["synthetic"]).square().mean()
    return to_synthetic + (synthetic_scores.float() - averages["real"]).square().mean()


def requiring_gradient(images: torch.Tensor) -> torch.Tensor:
    """Return `images` as a leaf that requires a gradient, for penalties on it."""
    return images.detach().requires_grad_(True)


def _gradient(scores: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(scores.float().sum(), images, create_graph=True)
    return gradient.float()
