"""Divergences of softmax predictions p(·|h) = softmax(W h + b), exact over any vocabulary, and to second order.

The exact one reads the vocabulary in blocks that stay in a processor's caches, with a running maximum: nothing of the size of
states × vocabulary is held. To second order KL(p(·|h) ‖ p(·|h₀)) ≈ ½ (h − h₀)ᵀ G (h − h₀), where G is the covariance of the rows
of W under p(·|h₀) (arXiv 2212.09663).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
STATES, COLUMNS = 256, 2048  # of one block on a CPU; a GPU takes many times as much
_HELD = 1 << 24  # logits that a mean prediction is made of at a time


class Exact(NamedTuple):
    """KL(p(·|h) ‖ p₀) and the entropy of p(·|h), each (S,), in nats."""

    kl: Doubles
    entropy: Doubles


class Head:
    """An unembedding (V, D) and its bias (V,) on a device, in the type of its rows."""

    def __init__(self, rows_VD: NDArray[Any], bias_V: NDArray[Any] | None = None, device: str = "cpu") -> None:
        import torch

        self.rows = torch.from_numpy(np.ascontiguousarray(rows_VD)).to(device)
        self.bias = None if bias_V is None else torch.from_numpy(np.ascontiguousarray(bias_V)).to(self.rows)

    def divergence(self, states_SD: NDArray[Any], log_p0_V: Doubles) -> Exact:
        """Returns each state's divergence from p₀, given by its logarithms (V,), and its entropy."""
        import torch

        wide = 8 if self.rows.device.type != "cpu" else 1
        usual_V2 = torch.ones((len(self.rows), 2), dtype=self.rows.dtype, device=self.rows.device)
        usual_V2[:, 1] = torch.from_numpy(np.asarray(log_p0_V)).to(self.rows)
        kl, entropy, step = np.empty(len(states_SD)), np.empty(len(states_SD)), STATES * wide
        with torch.inference_mode():
            for first in range(0, len(states_SD), step):
                h_BD = torch.from_numpy(np.array(states_SD[first : first + step])).to(self.rows)
                found = self._block(h_BD, usual_V2, COLUMNS * wide)
                kl[first : first + step], entropy[first : first + step] = (part.cpu().numpy() for part in found)
        return Exact(kl, entropy)

    def _block(self, h_BD: Any, usual_V2: Any, columns: int) -> tuple[Any, Any]:
        import torch

        double = torch.float64 if h_BD.device.type != "mps" else torch.float32
        top_B = torch.full((len(h_BD),), -torch.inf, dtype=double, device=h_BD.device)
        sums_B3 = torch.zeros((len(h_BD), 3), dtype=double, device=h_BD.device)  # Σe, Σe ln p₀, Σe z
        for first in range(0, len(self.rows), columns):
            z_BC = h_BD @ self.rows[first : first + columns].T
            if self.bias is not None:
                z_BC += self.bias[first : first + columns]
            above_B = torch.maximum(top_B, z_BC.amax(1).to(double))
            e_BC = (z_BC - above_B.to(z_BC.dtype)[:, None]).exp_()
            sums_B3 *= (top_B - above_B).exp_()[:, None]
            sums_B3[:, :2] += e_BC @ usual_V2[first : first + columns]
            sums_B3[:, 2] += torch.bmm(e_BC[:, None], z_BC[:, :, None])[:, 0, 0]
            top_B = above_B
        total_B = sums_B3[:, 0]
        # e was made with the maximum as rounded to the type of the logits.
        log_sum_B = top_B.to(h_BD.dtype).to(double) + total_B.log()
        mean_B = sums_B3[:, 2] / total_B
        return mean_B - log_sum_B - sums_B3[:, 1] / total_B, log_sum_B - mean_B

    def log_probability(self, state_D: NDArray[Any]) -> Doubles:
        """Returns ln p(·|h) (V,) of one state."""
        import torch

        with torch.inference_mode():
            z_V = self.rows @ torch.from_numpy(np.array(state_D)).to(self.rows)
            z_V = (z_V if self.bias is None else z_V + self.bias).double()
            return np.asarray((z_V - z_V.logsumexp(0)).cpu().numpy(), np.float64)

    def mean_prediction(self, states_SD: NDArray[Any]) -> Doubles:
        """Returns the mean over states of p(·|h): (V,)."""
        import torch

        total, step = np.zeros(len(self.rows)), max(1, _HELD // len(self.rows))
        with torch.inference_mode():
            for first in range(0, len(states_SD), step):
                z_BV = torch.from_numpy(np.array(states_SD[first : first + step])).to(self.rows) @ self.rows.T
                z_BV = z_BV if self.bias is None else z_BV + self.bias
                total += z_BV.softmax(1).sum(0).double().cpu().numpy()
        return total / len(states_SD)


def covariance(rows_VD: NDArray[Any], p_V: Doubles) -> Doubles:
    """Returns G (D, D) = Σ p(w) (v_w − v̄)(v_w − v̄)ᵀ with v̄ = Σ p(w) v_w."""
    mean_D, found = np.zeros(rows_VD.shape[1]), np.zeros((rows_VD.shape[1],) * 2)
    parts = range(0, len(rows_VD), 1 << 14)
    for first in parts:
        mean_D += p_V[first : first + (1 << 14)] @ np.asarray(rows_VD[first : first + (1 << 14)], np.float64)
    for first in parts:
        part = np.asarray(rows_VD[first : first + (1 << 14)], np.float64) - mean_D
        found += (part * p_V[first : first + (1 << 14), None]).T @ part
    return found


def quadratic(states_SD: NDArray[Any], centre_D: NDArray[Any], g_DD: Doubles) -> Doubles:
    """Returns ½ (h − h₀)ᵀ G (h − h₀) of each state (S,)."""
    found = np.empty(len(states_SD))
    for first in range(0, len(states_SD), 1 << 13):
        away = np.asarray(states_SD[first : first + (1 << 13)], np.float64) - centre_D
        found[first : first + (1 << 13)] = 0.5 * np.einsum("sd,sd->s", away @ g_DD, away)
    return found
