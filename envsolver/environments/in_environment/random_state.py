"""The random generators that imports make: which of them drew from the system, and how a child draws afresh.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library and ipykernel. It imports only
what every kernel holds anyway.
"""

from __future__ import annotations

import gc
import random
import sys

# Not every kernel holds it, and a notebook could see it.
sys.modules.pop("gc", None)

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TORCH_SEED = 67280421310721  # of a generator without a seed, where it is the same in each process


class RandomState:
    """The generators that the imports of this process made or changed.

    Attributes
    ----------
    drawn
        Seeds for numpy's generators that came from the system's random numbers.
    """

    def __init__(self) -> None:
        self.drawn: set[int] = set()
        self._generators: dict[int, random.Random] = {}
        self._numpy_generators: list[Any] = []
        self._numpy: Any = None  # the state of numpy's global generator as its import left it
        self._torch: int | None = None  # the seed of torch's global generator
        self._seed: Any = None

    def watch(self) -> None:
        """Note from now on which of Python's generators the system's random numbers seed."""
        seed, generators = random.Random.seed, self._generators

        def spy(this: random.Random, a: Any = None, version: int = 2) -> None:
            seed(this, a, version)
            generators.pop(id(this), None)
            if a is None:
                generators[id(this)] = this

        self._seed = seed
        random.Random.seed = spy  # type: ignore[method-assign,assignment]

    def unwatch(self) -> None:
        """Leave Python's generators as they were before `watch`."""
        random.Random.seed = self._seed  # type: ignore[method-assign]

    def remember(self) -> None:
        """Take down the global generators of libraries that have just come, as their import leaves them."""
        numpy, torch = _numpy_generator(), _torch_generator()
        if self._numpy is None and numpy is not None:
            self._numpy = numpy.get_state(legacy=False)
        if self._torch is None and torch is not None:
            self._torch = torch.initial_seed()

    def state(self) -> list[object]:
        """Return what is the same as long as no import draws from a global generator, or seeds it."""
        self.remember()
        numpy, torch = _numpy_generator(), _torch_generator()
        return [
            random.getstate(),
            numpy is None or _same_state(numpy.get_state(legacy=False), self._numpy),
            torch is None or torch.initial_seed() == self._torch,
        ]

    def find(self) -> bool:
        """Find numpy's generators that the system's random numbers seeded; False when a child cannot renew them all."""
        module = sys.modules.get("numpy.random.bit_generator")
        if module is None or not self.drawn:
            return True
        self._numpy_generators = []
        # By their types: asking each object for its class would run code of some, which warns.
        kinds = (module.BitGenerator, module.SeedSequence)
        found = [thing for thing in gc.get_objects() if issubclass(type(thing), kinds)]
        owned = set()
        for thing in found:
            if isinstance(thing, module.BitGenerator):
                source = getattr(thing, "seed_seq", getattr(thing, "_seed_seq", None))
                owned.add(id(source))
                if getattr(source, "entropy", None) in self.drawn:
                    self._numpy_generators.append(thing)
        seeds = [thing for thing in found if isinstance(thing, module.SeedSequence) and id(thing) not in owned]
        return not any(seed.entropy in self.drawn for seed in seeds)

    def renew(self, find: Callable[[str], Any] = sys.modules.get) -> None:
        """In a child, draw afresh what imports drew from the system's random numbers; `find` returns a module."""
        for own in self._generators.values():
            own.seed()
        for thing in self._numpy_generators:
            thing.state = type(thing)().state
        numpy, torch = _numpy_generator(find), _torch_generator(find)
        if numpy is not None:
            numpy.seed()
        if torch is not None and torch.initial_seed() != _TORCH_SEED:
            torch.seed()


def _numpy_generator(find: Callable[[str], Any] = sys.modules.get) -> Any:
    """Return numpy's global generator, or None as long as it is not there."""
    return getattr(find("numpy.random.mtrand"), "_rand", None)


def _torch_generator(find: Callable[[str], Any] = sys.modules.get) -> Any:
    """Return torch's global generator, or None as long as it is not there."""
    return getattr(find("torch.random"), "default_generator", None)


def _same_state(one: Any, other: Any) -> bool:
    return bool(
        one["bit_generator"] == other["bit_generator"]
        and one["has_gauss"] == other["has_gauss"]
        and one["state"]["pos"] == other["state"]["pos"]
        and (one["state"]["key"] == other["state"]["key"]).all()
    )
