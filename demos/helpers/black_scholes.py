"""Closed forms that several finance demos compare with. Prices are for one share; volatilities are per square root of a year."""

import numpy as np
from scipy.stats import norm


def call(spot, strike, rate, volatility, maturity):
    """Black-Scholes price of a European call."""
    spread = volatility * np.sqrt(maturity)
    d1 = (np.log(spot / strike) + rate * maturity) / spread + spread / 2
    return spot * norm.cdf(d1) - strike * np.exp(-rate * maturity) * norm.cdf(d1 - spread)


def delta(spot, strike, rate, volatility, maturity):
    """Derivative of the call's price with respect to the spot."""
    spread = volatility * np.sqrt(maturity)
    return norm.cdf((np.log(spot / strike) + rate * maturity) / spread + spread / 2)


def gamma(spot, strike, rate, volatility, maturity):
    """Second derivative of the call's price with respect to the spot."""
    spread = volatility * np.sqrt(maturity)
    return norm.pdf((np.log(spot / strike) + rate * maturity) / spread + spread / 2) / (spot * spread)


def vega(spot, strike, rate, volatility, maturity):
    """Derivative of the call's price with respect to the volatility."""
    spread = volatility * np.sqrt(maturity)
    return spot * np.sqrt(maturity) * norm.pdf((np.log(spot / strike) + rate * maturity) / spread + spread / 2)


def geometric_asian_call(spot, strike, rate, volatility, times):
    """Call on the geometric mean of the spot at the given times, paid at the last of them.

    The logarithm of the geometric mean is normal, so that the price has Black's form.
    """
    times = np.asarray(times, dtype=float)
    mean = np.log(spot) + (rate - volatility**2 / 2) * times.mean()
    deviation = volatility * np.sqrt(np.minimum.outer(times, times).mean())
    d2 = (mean - np.log(strike)) / deviation
    forward = np.exp(mean + deviation**2 / 2)
    return np.exp(-rate * times[-1]) * (forward * norm.cdf(d2 + deviation) - strike * norm.cdf(d2))


def down_and_out_call(spot, strike, barrier, rate, volatility, maturity):
    """Call that dies when the spot touches a barrier below both spot and strike, watched continuously.

    By reflection: the vanilla call minus its image at ``barrier**2 / spot``.
    """
    power = 2 * rate / volatility**2 - 1
    image = call(barrier**2 / spot, strike, rate, volatility, maturity)
    return call(spot, strike, rate, volatility, maturity) - (barrier / spot) ** power * image
