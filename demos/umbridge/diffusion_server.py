"""Diffusion in one dimension as a UM-Bridge model: `python diffusion_server.py --port 4242`.

-(a u')' = 1 on (0, 1) with u(0) = u(1) = 0 and the coefficient

    a(x) = exp(sum_j y_j j**-2 sin(j pi x)),   j = 1 ... number of inputs.

Finite differences on a uniform grid with a at the midpoints, O(h**2). The grid comes from the configuration:
``{"level": l}`` has 8 * 2**l cells. The output is u(1/2). The gradient comes from the adjoint equation, which here has
the same matrix.
"""

import numpy as np
import umbridge
from serving import serve

TERMS = 8


def modes(x):
    """Value at `x` of each term of log a, shape (len(x), TERMS)."""
    j = np.arange(1, TERMS + 1)
    return np.sin(np.pi * np.outer(x, j)) / j**2


def solve(a, h, right):
    """Solve -(a u')' = right for the inner nodes, with `a` given on the cells.

    In one dimension no elimination is needed: the flux q = -a u' grows by h * right from cell to cell, u falls by
    h * q / a over each cell, and the boundary value on the right fixes the flux of the first cell.
    """
    source = np.concatenate([[0.0], np.cumsum(right) * h])
    resistance = h / a
    first = -(resistance @ source) / resistance.sum()
    return -np.cumsum(resistance * (first + source))[:-1]


def cells(config):
    """Number of cells that the configuration asks for."""
    return 8 * 2 ** int(config.get("level", 3))


def middle_value(y, n):
    """u(1/2), and what its gradient needs."""
    h = 1.0 / n
    shape = modes((np.arange(n) + 0.5) * h)
    a = np.exp(shape @ y)
    u = solve(a, h, np.ones(n - 1))
    return u[n // 2 - 1], (a, u, shape, h)


def middle_gradient(y, n):
    """Gradient of u(1/2): minus the sum over the cells of h * (da/dy) u' p', with p the adjoint solution."""
    _, (a, u, shape, h) = middle_value(y, n)
    point = np.zeros(n - 1)
    point[n // 2 - 1] = 1.0 / h
    p = solve(a, h, point)
    u_slope = np.diff(u, prepend=0.0, append=0.0) / h
    p_slope = np.diff(p, prepend=0.0, append=0.0) / h
    return -(a * u_slope * p_slope * h) @ shape


class Diffusion(umbridge.Model):
    """`TERMS` coefficients in, the solution at the middle out."""

    def __init__(self):
        super().__init__("forward")

    def get_input_sizes(self, config):
        return [TERMS]

    def get_output_sizes(self, config):
        return [1]

    def __call__(self, parameters, config):
        return [[float(middle_value(np.array(parameters[0]), cells(config))[0])]]

    def gradient(self, out_wrt, in_wrt, parameters, sens, config):
        return (sens[0] * middle_gradient(np.array(parameters[in_wrt]), cells(config))).tolist()

    def supports_evaluate(self):
        return True

    def supports_gradient(self):
        return True


if __name__ == "__main__":
    serve([Diffusion()])
