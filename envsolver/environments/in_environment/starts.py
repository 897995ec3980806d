# ruff: noqa: PTH109, PTH110, PTH123, SLF001  # it imports no more than a kernel does
"""Tells which programs a kernel starts, and has them followed; a part of `reading`.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Starts:
    """Tells which programs this process, and those that it forks, start, and has them followed where that can be had.

    Parameters
    ----------
    tell, write
        Tell a thing once, and each time.
    text
        Returns a path or any other value as text.
    follower
        The file of `followed`, the place of its keeper's socket, and what it is to ignore.
    """

    def __init__(
        self,
        tell: Callable[..., object],
        write: Callable[[Any], object],
        text: Callable[[Any], str],
        follower: tuple[str, str, tuple[str, ...]],
    ) -> None:
        self._tell, self._write, self._text = tell, write, text
        self._file, self._socket, self._ignored = follower
        self._follower: Any = None
        self._kernel, self._followed = os.getpid(), 0
        self.handlers: dict[str, Callable[..., object]] = {
            # Stand-ins do it, as soon as that; the worker counts both.
            "subprocess.Popen": lambda *_: self._write(("popen",)),
            "os.posix_spawn": lambda *_: self._write(("spawn",)),
            "os.system": lambda *_: self._write(("spawn",)),
            "os.forkpty": self._loaded,
            "os.exec": self._become,
            "os.spawn": lambda _mode, *rest: self._program(*rest),
        }

    def _program(self, path: Any, words: Any = (), *_: Any) -> None:
        self._tell("program", self._text(path), "\0".join(map(self._text, words or ())), os.getcwd())

    def _become(self, path: Any, words: Any = (), *_: Any) -> None:
        """Have this process followed, which was forked and is to become a program."""
        here = os.getpid()
        if here == self._followed:
            return
        follower = self._loaded() if here != self._kernel else None
        if follower is not None and follower.follow():
            self._followed = here
        else:
            self._program(path, words)

    def _loaded(self) -> Any:
        """Return what has programs followed, None where that cannot be had."""
        if self._follower is None and os.path.exists(self._socket):
            with open(self._file, "rb") as file:
                code = compile(file.read(), self._file, "exec")
            space: dict[str, Any] = {"__name__": "followed", "__builtins__": __builtins__}
            exec(code, space)  # noqa: S102  # our own file
            self._follower = space["Follower"](self._socket, self._ignored)
        return self._follower

    def stand_in(self) -> None:
        """Stand in for what `subprocess`, `multiprocessing` and their like start programs by."""
        import _posixsubprocess  # there is none on Windows

        original, begin = _posixsubprocess.fork_exec, self._begin

        def fork_exec(*args: Any) -> Any:
            # From Python 3.11 on another argument follows the function that is called before the program.
            own = args[-2 if isinstance(args[-1], bool) else -1] if len(args) > 1 else None
            follower, refused = begin("forked", lambda: ((args[0] or args[1])[0], args[0]), follow=own is None)
            return original(*args) if follower is None else follower.start(lambda: original(*args), refused)

        fork_exec.__module__, fork_exec.__doc__ = "_posixsubprocess", original.__doc__
        _posixsubprocess.fork_exec = fork_exec
        subprocess: Any = sys.modules.get("subprocess")
        if getattr(subprocess, "_fork_exec", None) is original:
            subprocess._fork_exec = fork_exec
        for name in ("posix_spawn", "posix_spawnp", "system"):
            self._stand_in_for(name)

    def _stand_in_for(self, name: str) -> None:
        system: Any = sys.modules["os"]  # ours is a copy
        original, begin = getattr(system, name), self._begin

        def function(*args: Any, **named: Any) -> Any:
            words = args[:2] if name != "system" else ("sh", ["sh", "-c", *args])
            follower, refused = begin("spawned", lambda: words, follow=True)
            if follower is None:
                return original(*args, **named)
            return follower.start(lambda: original(*args, **named), refused)

        function.__name__ = function.__qualname__ = name
        function.__module__, function.__doc__ = "os", original.__doc__
        setattr(system, name, function)

    def _begin(self, word: str, what: Callable[[], Any], *, follow: bool) -> tuple[Any, Callable[[], object]]:
        """Return what is to follow a program, None for nothing, and what is called if that refuses."""

        def refused() -> None:
            try:
                self._program(*what())
            except Exception as error:  # noqa: BLE001  # the original says what is wrong
                self._write(("blind", word, repr(error)))

        follower = None
        try:
            self._write((word,))
            follower = self._loaded() if follow else None
        except Exception:  # noqa: BLE001, S110  # the original says what is wrong
            pass
        if follower is None:
            refused()
        return follower, refused
