"""The only caller of uv: finds it, logs each command, runs it, and says clearly what went wrong.

The user's uv settings count: `UV_*` variables are passed on, and every command runs in the project's
root, so that its `uv.toml` or `[tool.uv]` is read.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from envsolver.core.errors import BuildError, ConfigurationError, InterruptedRunError
from envsolver.core.quantities import duration
from envsolver.core.variables import chosen
from envsolver.environments.uv_output import Answer, network_error
from envsolver.environments.uv_settings import read_settings

log = logging.getLogger("envsolver.environments.uv")

# These would point uv at another interpreter or environment than the one that each command names.
_DROPPED = ("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_CUSTOM_COMPILE_COMMAND", "UV_PUBLISH_TOKEN")

# What uv, git and compilers go by. A build runs other people's code, so nothing else is in its sight.
_PASSED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TEMP", "TMP", "XDG_*",
    "UV_*", "PIP_*", "ENVSOLVER_*", "NETRC", "RUST_LOG", "RUST_BACKTRACE", "SOURCE_DATE_EPOCH",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "SSL_*", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "GIT_SSH", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK",
    "PYENV_*", "CONDA_PREFIX", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH",
    "CC", "CXX", "FC", "AR", "LD", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "FFLAGS", "LDFLAGS", "ARCHFLAGS", "MAKEFLAGS",
    "CPATH", "LIBRARY_PATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "PKG_CONFIG*", "CMAKE_*", "CUDA_*", "CUDACXX",
    "CARGO_HOME", "RUSTUP_*", "RUSTFLAGS", "MACOSX_DEPLOYMENT_TARGET", "SDKROOT", "DEVELOPER_DIR", "SETUPTOOLS_*",
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE",
)  # fmt: skip
_TIMED_OUT = 124
_OLD_TOOLS = "setuptools<82"
"""The last that bring `pkg_resources`, which many older projects' builds import without saying so."""
COLOURLESS = ("--color", "never")
QUIET = ("--quiet", *COLOURLESS)
_COMPILE = (
    *COLOURLESS,
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-python-downloads",
)


class Uv:
    """The door to uv for one project.

    Parameters
    ----------
    root
        The project's root; commands run there.
    cache
        Directory for remembered answers about interpreters; None remembers nothing.
    pass_env
        Names of more environment variables that uv, and what it builds, see; ``*`` at an end matches any rest.
    limit
        Seconds for one command, with all that it builds.
    executable
        uv to use; None for the one that envsolver was installed with, else the one on `PATH`.

    Attributes
    ----------
    calls
        How many uv commands were run.
    """

    def __init__(
        self,
        root: Path,
        *,
        cache: Path | None = None,
        pass_env: Sequence[str] = (),
        limit: float = 3600.0,
        executable: str | None = None,
    ) -> None:
        self.root = root
        self.cache = cache
        self.pass_env = tuple(pass_env)
        self.limit = limit
        self.calls = 0
        self._executable = executable
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    @property
    def executable(self) -> str:
        """Path of uv.

        Raises
        ------
        ConfigurationError
            uv is not installed.
        """
        with self._lock:  # what finds it is not made for several threads
            if self._executable is None:
                self._executable = _find_uv()
            return self._executable

    def settings(self) -> dict[str, str]:
        """Return the user's uv settings that a solve depends on, by name, as text."""
        return read_settings(self.root, os.environ)

    def version(self) -> str:
        """Return uv's version, such as ``0.9.2``."""
        answer = self.run(["--version"])
        return answer.out.split()[1] if answer.code == 0 else "unknown"

    def run(
        self,
        arguments: Sequence[str],
        *,
        text: str | None = None,
        hold: int | None = None,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        hear: Callable[[str], None] | None = None,
    ) -> Answer:
        """Run uv with `arguments`, `text` on its standard input.

        Parameters
        ----------
        hold
            Descriptor of a lock that uv holds too, so that it stays locked even if this process is killed.
        environ
            Environment variables to change.
        cwd
            Where to run; None for the project's root.
        hear
            Takes each line of its standard error as it comes, from a thread.

        Raises
        ------
        ConfigurationError
            uv cannot be started.
        InterruptedRunError
            `stop` was called.
        """
        command = [self.executable, *arguments]
        log.info("uv %s", " ".join(arguments))
        start = time.perf_counter()
        try:
            answer = self._communicate(command, text=text, hold=hold, environ=environ, cwd=cwd, hear=hear)
        except OSError as error:
            raise ConfigurationError(
                [f"uv cannot be run: {error}"], tip="Install it again with `pip install --force-reinstall uv`."
            ) from error
        log.debug("uv ended with %d after %.2f s\n%s", answer.code, time.perf_counter() - start, answer.err)
        return answer

    def stop(self) -> None:
        """End all running commands and refuse new ones; for an interrupted run."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            with contextlib.suppress(OSError):
                process.terminate()

    def check(self) -> None:
        """Raise `InterruptedRunError` once `stop` was called."""
        if self._stopped:
            raise InterruptedRunError("uv is not asked any more, because the run is being stopped")

    def compile(
        self,
        sources: Sequence[str],
        *,
        python: str,
        text: str | None = None,
        hashes: bool = True,
        options: Sequence[str] = (),
    ) -> Answer:
        """Solve requirements for the interpreter `python` and return uv's answer; its `out` is the lock's text.

        Parameters
        ----------
        sources
            Requirements files, relative to the root; `text` holds more requirements.
        options
            More arguments for ``uv pip compile``.
        """
        command = ["pip", "compile", *_COMPILE, "--python", python, *options]
        if hashes:
            command.append("--generate-hashes")
        stdin = [] if text is None else ["-"]
        return self._run_builds([*command, "--", *sources, *stdin], text=text)

    def create(self, prefix: Path, python: str, *, hold: int | None = None) -> None:
        """Create an empty virtualenv at `prefix`, under a lock as in `run`.

        Raises
        ------
        BuildError
            uv could not create it.
        """
        answer = self.run(["venv", *QUIET, "--no-project", "--python", python, "--", str(prefix)], hold=hold)
        if answer.code != 0:
            raise BuildError(f"no virtualenv could be created with {python}: {answer.explanation}")

    def sync(
        self,
        prefix: Path,
        lock: Path,
        *,
        require_hashes: bool,
        any_index: bool = False,
        rebuild: Sequence[str] = (),
        hold: int | None = None,
        hear: Callable[[str], None] | None = None,
    ) -> None:
        """Make the virtualenv hold exactly what the file `lock` pins, under a lock as in `run`.

        Parameters
        ----------
        any_index
            Whether each index that is named may have a release, not only the first that knows its name: hashes say
            which one it must be.
        rebuild
            Packages that are built anew even if uv remembers a build: local projects, whose sources may have changed.
        hear
            As in `run`: uv says there which packages it builds from source.

        Raises
        ------
        BuildError
            A package could not be fetched, built or installed; uv's own words are in the message.
        """
        flags = ["--require-hashes"] if require_hashes else []
        flags += ["--index-strategy", "unsafe-best-match"] if any_index else []
        flags += [argument for name in rebuild for argument in ("--reinstall-package", name)]
        python = str(prefix / "bin" / "python")
        flags += ["--python", python]
        answer = self._run_builds(["pip", "sync", *COLOURLESS, *flags, "--", str(lock)], hold=hold, hear=hear)
        if answer.missing_releases:
            # A lock names what exists; what uv remembers of the index, for ten minutes, may be older than the lock.
            flags += [argument for name in answer.missing_releases for argument in ("--refresh-package", name)]
            answer = self._run_builds(["pip", "sync", *COLOURLESS, *flags, "--", str(lock)], hold=hold, hear=hear)
        if answer.code != 0:
            raise network_error(answer) if answer.no_network else BuildError(answer.explanation)

    def call_python(self, prefix: Path, arguments: Sequence[str], *, hold: int | None = None) -> Answer:
        """Run a virtualenv's interpreter as one of the commands that `stop` ends, under a lock as in `run`."""
        return self._communicate([str(prefix / "bin" / "python"), *arguments], hold=hold)

    def _run_builds(
        self,
        arguments: Sequence[str],
        *,
        text: str | None = None,
        hold: int | None = None,
        hear: Callable[[str], None] | None = None,
    ) -> Answer:
        """Run a command that may build packages, again with older tools if one needs what current ones dropped."""
        answer = self.run(arguments, text=text, hold=hold, hear=hear)
        if not answer.needs_old_tools:
            return answer
        with tempfile.TemporaryDirectory(prefix="envsolver-") as folder:
            bounds = Path(folder) / "build-constraints.txt"
            bounds.write_text(f"{_OLD_TOOLS}\n", encoding="utf-8")
            given = f"{os.environ.get('UV_BUILD_CONSTRAINT', '')} {bounds}".strip()
            again = self.run(arguments, text=text, hold=hold, environ={"UV_BUILD_CONSTRAINT": given}, hear=hear)
        return again if again.code == 0 or again.unsolvable else answer

    def _communicate(
        self,
        command: list[str],
        *,
        text: str | None = None,
        hold: int | None = None,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        hear: Callable[[str], None] | None = None,
    ) -> Answer:
        passed = chosen(os.environ, (*_PASSED, *self.pass_env))
        environment = {name: value for name, value in passed.items() if name not in _DROPPED}
        environment |= {"UV_NO_PROGRESS": "1", **(environ or {})}
        with self._lock:
            self.check()
            self.calls += 1
            process = _open(command, environment, cwd or self.root, hold=hold, writes=text is not None)
            self._running.add(process)
        try:
            with _ended_after(self.limit, process) as late:
                out, err = process.communicate(text) if hear is None else _follow(process, hear)
        finally:
            with self._lock:
                self._running.discard(process)
        self.check()
        if late.is_set():
            words = f"nothing came of it within {duration(self.limit)}; `build-timeout` may allow it more"
            return Answer(code=_TIMED_OUT, out="", err=f"{' '.join(map(os.path.basename, command[:3]))}: {words}")
        return Answer(code=process.returncode, out=out, err=err)


def _open(
    command: list[str], environment: Mapping[str, str], cwd: Path, *, hold: int | None, writes: bool
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=cwd,
        pass_fds=() if hold is None else (hold,),
        env=environment,
        stdin=subprocess.PIPE if writes else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def _follow(process: subprocess.Popen[str], hear: Callable[[str], None]) -> tuple[str, str]:
    """Return a command's standard output and error, and hand on each line of the error as it comes."""
    out, err = process.stdout or io.StringIO(), process.stderr or io.StringIO()
    lines: list[str] = []

    def read() -> None:
        for line in err:
            lines.append(line)
            hear(line)

    reader = threading.Thread(target=read, name="uv-stderr", daemon=True)
    reader.start()
    text = out.read()
    reader.join()
    process.wait()
    out.close()
    err.close()
    return text, "".join(lines)


@contextlib.contextmanager
def _ended_after(limit: float, process: subprocess.Popen[str]) -> Iterator[threading.Event]:
    """End a process that does not come to its end meanwhile, with what it builds; the event is set when it was late."""
    late = threading.Event()

    def end() -> None:
        if process.poll() is None:  # else its number may be another's by now
            late.set()
            _kill_tree(process)

    timer = threading.Timer(limit, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        timer.cancel()


def _kill_tree(process: subprocess.Popen[str]) -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        for each in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                each.kill()
    process.kill()


def _find_uv() -> str:
    with contextlib.suppress(ImportError, FileNotFoundError):
        from uv import find_uv_bin

        return os.fspath(find_uv_bin())
    found = shutil.which("uv")
    if found is None:
        raise ConfigurationError(["uv was not found"], tip="Install it with `pip install uv`.")
    return found
