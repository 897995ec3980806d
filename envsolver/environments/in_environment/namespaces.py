# ruff: noqa: PTH109, PTH112, PTH115, PTH119, PTH123, SIM105  # it imports no more than it needs
"""Gives a kernel its own view of the project and of the processes, by namespaces of the Linux kernel.

The project's directory is covered by an overlay at its own path: what is written there lands in a directory of the
job. A PID namespace ends every process that the kernel started, however it hides, when the kernel ends. Shared memory
is the kernel's own as well. All this takes some milliseconds, whatever the size of the project.

The process that enters stays outside as the kernel's keeper: it ends as the kernel ends, by the same exit code or
signal. Between the two stands the init process of the namespace, which reaps. Where there are no namespaces, the keeper
alone stands there: what the kernel started and left becomes its child, whatever it did to hide, and ends with it.

Run as a program by the environment's interpreter, ``python -I -S namespaces.py PLAN COMMAND...``; a template calls
`enter` in a child that it has forked. Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

FAILED = 70
"""Exit code when the view cannot be made; why stands in the plan's ``failed`` file."""

_NEW_MOUNTS, _NEW_USER, _NEW_PIDS = 0x00020000, 0x10000000, 0x20000000
_NO_SUID, _NO_DEVICES, _NO_EXECUTION, _RECURSIVE, _PRIVATE = 2, 4, 8, 0x4000, 1 << 18
_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36
_PATIENCE = 5.0  # seconds after which a process that survives SIGKILL is left to the system

_code: dict[str, Any] = {}  # programs that were compiled ahead, by their file


def load_library() -> Any:
    """Return the C library, without leaving a trace of what loads it in ``sys.modules``."""
    before = set(sys.modules)
    import ctypes

    library: Any = ctypes.CDLL(None, use_errno=True)
    library.last_error = ctypes.get_errno
    for name in set(sys.modules) - before:
        del sys.modules[name]
    return library


def compile_ahead(places: Iterable[str]) -> None:
    """Compile programs once that the plans of many kernels name."""
    for place in places:
        with open(place, "rb") as file:
            _code[place] = compile(file.read(), place, "exec")


def enter(plan: dict[str, Any], library: Any) -> None:
    """Enter the namespaces. Returns in the process that is to be the kernel; this one becomes its keeper.

    Parameters
    ----------
    plan
        ``root`` (the project), ``upper`` and ``work`` (empty directories of the job), ``hidden`` (directories of the
        project that the kernel finds empty), ``failed`` (file for the reason when it cannot be done), ``opened`` (file
        for what of the project was opened, empty where that is not wanted), ``start`` and ``watcher`` (see `opened`,
        and its file), ``programs`` (the file of that). Without a ``root`` there is only the keeper.
    library
        What `load_library` returned. The process must have one thread.
    """
    if "root" not in plan:
        _leave_keeper(plan, library)
        return
    receive, send = os.pipe()
    try:
        _unshare(library)
        _mount(library, None, "/", None, _RECURSIVE | _PRIVATE)
        _cover(library, plan)
        opened, programs = _watch(library, plan)
        init = os.fork()
    except OSError as error:
        _fail(plan, error)
    if init:
        os.close(send)
        _keep(init, receive, opened, programs)
    os.close(receive)
    if opened is not None and opened.number >= 0:
        os.close(opened.number)
    if programs is not None:
        programs.forget()
    library.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    try:
        kernel = _become_init(library)
    except OSError as error:
        _fail(plan, error)
    if kernel:
        _reap(kernel, send)
    os.close(send)
    os.setsid()


def _unshare(library: Any) -> None:
    user, group = os.getuid(), os.getgid()
    privileged = user == 0
    _check(library, library.unshare(_NEW_MOUNTS | _NEW_PIDS | (0 if privileged else _NEW_USER)))
    if not privileged:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def _cover(library: Any, plan: dict[str, Any]) -> None:
    places = {"lowerdir": plan["root"], "upperdir": plan["upper"], "workdir": plan["work"]}
    options = [f"{name}={_escaped(place)}" for name, place in places.items()]
    # An ordinary user may not set the attributes that overlays keep their notes in by default.
    options += ["userxattr"] if os.getuid() else []
    _mount(library, "overlay", plan["root"], "overlay", 0, ",".join(options))
    for place in plan["hidden"]:
        _mount(library, "tmpfs", place, "tmpfs", _NO_SUID | _NO_DEVICES, "size=64k,mode=755")


def _escaped(path: str) -> str:
    return "".join("\\" + letter if letter in ",:\\" else letter for letter in path)


def _become_init(library: Any) -> int:
    """Set up what belongs to the new process numbers, and fork the kernel; 0 in the kernel."""
    outside = os.readlink("/proc/self")  # still the number by which others know this process
    _mount(library, "proc", "/proc", "proc", _NO_SUID | _NO_DEVICES | _NO_EXECUTION)
    if os.path.isdir("/dev/shm"):  # noqa: S108  # it becomes the kernel's own
        _mount(library, "tmpfs", "/dev/shm", "tmpfs", _NO_SUID | _NO_DEVICES, "mode=1777")  # noqa: S108
    try:
        # Names that programs make of their number stay as different as the numbers outside.
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(outside)
    except OSError:
        pass
    return os.fork()


def _watch(library: Any, plan: dict[str, Any]) -> tuple[Any, Any]:
    """Return what sees the files that are opened, and what follows programs; None where that is not wanted."""
    if not plan.get("opened"):
        return None, None
    before = set(sys.modules)
    opened = _load(plan["watcher"])["Opened"](library, plan["root"], plan["start"], plan["opened"])
    programs = None
    if plan.get("programs"):
        try:
            programs = _load(plan["programs"])["Keeper"](library, plan["start"])
        except (OSError, ImportError):  # then no program is followed
            pass
    for name in set(sys.modules) - before:
        del sys.modules[name]
    return opened, programs


def _load(place: str) -> dict[str, Any]:
    if place not in _code:
        compile_ahead([place])
    space: dict[str, Any] = {"__name__": os.path.basename(place).partition(".")[0]}
    exec(_code[place], space)  # noqa: S102  # our own file
    return space


def _keep(init: int, receive: int, opened: Any, programs: Any) -> None:
    """Wait for the kernel's end, and end in the same way."""
    answer = b""
    if opened is not None:
        answer = opened.wait(receive, programs)
    while piece := os.read(receive, 64):
        answer += piece
    os.waitpid(init, 0)
    _end_as(int(answer) if answer else signal.SIGKILL)  # an init that said nothing was killed with all the rest


def _end_as(status: int) -> None:
    if os.WIFSIGNALED(status):
        _die_of(os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _leave_keeper(plan: dict[str, Any], library: Any) -> None:
    """Fork the kernel, and stay as its keeper, to whom falls what it starts and leaves."""
    library.prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        kernel = os.fork()
    except OSError as error:
        _fail(plan, error)
    if not kernel:
        library.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        os.setsid()
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    pid = status = 0
    while pid != kernel:
        pid, status = os.wait()
    _end_children()
    _end_as(status)


def _end_children() -> None:
    """End what is left of the children; each one's own children become this process's in turn."""
    import time

    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for pid in _children():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:  # it has become another user's
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _children() -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208  # names are wanted
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        if parent == os.getpid():
            found.append(int(name))
    return found


def _die_of(number: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _reap(kernel: int, send: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            pid, status = os.wait()
        except InterruptedError:
            continue
        if pid == kernel:
            os.write(send, str(status).encode())
            os._exit(0)


def _mount(  # noqa: PLR0917  # the system call's own order
    library: Any, source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    _check(library, library.mount(*encoded[:3], flags, encoded[3]))


def _check(library: Any, result: int) -> None:
    if result != 0:
        number = library.last_error()
        raise OSError(number, os.strerror(number))


def _fail(plan: dict[str, Any], error: OSError) -> None:
    with open(plan["failed"], "w") as file:
        file.write(str(error))
    os._exit(FAILED)


def main() -> None:
    """Enter as the plan in a file says, then become the command."""
    import json

    with open(sys.argv[1], "rb") as file:
        plan = json.loads(file.read())
    folder = os.getcwd()
    enter(plan, load_library())
    os.chdir(folder)  # it was entered before it was covered
    # A kernel ends with its parent; if that is the first process of its namespace, it need not even watch for that.
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main()
