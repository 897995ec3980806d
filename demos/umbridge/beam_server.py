"""A cantilever beam as a UM-Bridge model: `python beam_server.py --port 4242`.

The beam of length 1 is clamped on the left, free on the right, and carries the load 1 per unit length. Its bending
stiffness is constant on each of three segments of equal length. Euler and Bernoulli's equation (EI w'')'' = 1 is solved
by finite differences: the bending moment first, from the free end, then the deflection, from the clamped one.
"""

import numpy as np
import umbridge
from serving import serve

SEGMENTS = 3
OUTPUTS = 31


def deflection(stiffness, nodes=301):
    """Deflection at `OUTPUTS` equally spaced points for the stiffness of each segment."""
    x = np.linspace(0.0, 1.0, nodes)
    h = x[1] - x[0]
    middle = (x[1:] + x[:-1]) / 2  # where the segments' borders never fall
    moment = (1.0 - middle) ** 2 / 2  # of the load beyond each point
    segment = np.minimum((middle * SEGMENTS).astype(int), SEGMENTS - 1)
    curvature = moment / np.asarray(stiffness)[segment]
    slope = np.concatenate([[0.0], np.cumsum(curvature) * h])
    w = np.concatenate([[0.0], np.cumsum((slope[1:] + slope[:-1]) / 2) * h])
    return w[:: (nodes - 1) // (OUTPUTS - 1)]


class Beam(umbridge.Model):
    """Three stiffnesses in, thirty-one deflections out."""

    def __init__(self):
        super().__init__("forward")

    def get_input_sizes(self, config):
        return [SEGMENTS]

    def get_output_sizes(self, config):
        return [OUTPUTS]

    def __call__(self, parameters, config):
        return [deflection(parameters[0]).tolist()]

    def supports_evaluate(self):
        return True


if __name__ == "__main__":
    serve([Beam()])
