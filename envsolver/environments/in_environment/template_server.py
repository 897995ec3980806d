# ruff: noqa: SLF001, SIM105, PTH105, PTH118, PTH120, PTH123, PTH208  # it imports no more than a kernel does
"""The template of an environment: holds modules imported, and forks a kernel for each job that asks.

Run as a program by the environment's interpreter, Python 3.8 or later, with the path of its specification (JSON). It
is a tree of processes. Each node holds its parent's modules and its own, listens on a socket, and comes to life when
a job first asks for it. The run made the sockets. A node forks only while it has no other thread;
one that cannot answers every request with a refusal, and the job starts a cold kernel.

A request is one line of JSON: ``argv`` (what follows ``python -m ipykernel_launcher``), ``cwd``, ``env``, ``log``,
``read`` (the file for what the kernel reads) and ``filters`` (of warnings).
The answer is ``{"pid": …}``, and one more line ``{"exit": …}`` when the kernel has ended, or ``{"refused": why}``.
A connection that closes before that has the kernel's session killed.

It imports only what every kernel holds anyway, since all of it can be seen in the kernels' ``sys.modules``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import select
import socket
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from typing import Any

_NEEDS_SHELL = ("matplotlib_inline",)  # known to, so that no run has to find out
_ROUNDS = 8  # attempts to find the modules that cannot be loaded ahead


class Node:
    """A place in the tree: what it adds to its parent's modules, and where it listens."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.id: str = entry["id"]
        self.parent: str | None = entry["parent"]
        self.modules: list[str] = entry["modules"]
        self.allowed: list[str] | None = entry["allowed"]
        self.eager: bool = entry.get("eager", False)
        self.refusal = ""
        self.rounds = 0
        self.starting = False
        self.listener = socket.socket(fileno=entry["listener"])


class Template:
    """One node of the tree, as the process that it runs in sees it.

    Parameters
    ----------
    spec
        The specification.
    preload
        What the process has loaded so far.
    kernel
        What `template_kernel` defines.
    kernels
        The `Kernels` that it forks.
    """

    def __init__(self, spec: dict[str, Any], preload: Any, kernel: dict[str, Any], kernels: Any) -> None:
        self.spec = spec
        self.preload = preload
        self.kernel = kernel
        self.kernels = kernels
        self.nodes = {entry["id"]: Node(entry) for entry in spec["nodes"]}
        self.own: Node | None = None
        self.excluded: dict[str, str] = dict.fromkeys(spec["excluded"], "it was refused before")
        self.environ: dict[str, str] = {}  # what a kernel's start sets
        self.patterns: list[tuple[str, int]] = []  # regular expressions that it compiles
        self.pipes: dict[int, tuple[Node, int]] = {}
        self.lifeline = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self.mark_place = kernel["find_mark"](spec["mark_name"])

    def serve(self) -> dict[str, Any]:
        """Answer requests until the end; a forked child returns here with the request that it must fulfil."""
        while True:
            early = next(filter(self._is_due, self.nodes.values()), None)
            request = None
            if early is not None:
                self._start(self._top(early))
            else:
                request = self._turn()
            if request is not None:
                return request

    def _is_due(self, node: Node) -> bool:
        top = self._top(node)
        return node.eager and top is not self.own and not top.starting and not top.refusal

    def _turn(self) -> dict[str, Any] | None:
        poll = select.poll()
        poll.register(self.lifeline, select.POLLIN | select.POLLHUP)
        listeners = {node.listener.fileno(): node for node in self.nodes.values() if not self._top(node).starting}
        for number in [*listeners, *self.pipes, *self.kernels.connections, *self.kernels.descriptors]:
            poll.register(number, select.POLLIN)
        events = [number for number, _ in poll.poll(self.kernels.timeout)]
        if self.lifeline in events:
            self._end()
        self.kernels.reap()
        for number in events:
            if number in self.pipes:
                self._started(number)
            elif number in self.kernels.connections:
                self.kernels.abandoned(number)
            elif number in listeners:
                return self._asked(listeners[number])
        return None

    def _asked(self, node: Node) -> dict[str, Any] | None:
        top = self._top(node)
        if node is not self.own and not top.refusal:
            self._start(top)
            return None
        connection, _ = node.listener.accept()
        refusal = top.refusal or self._unfit()
        request: dict[str, Any] = {}
        if not refusal:
            try:
                request = self.kernels.read_request(connection)
                refusal = self._mismatch(request)
            except (OSError, ValueError):
                refusal = "the request cannot be read"
        if refusal:
            self.kernels.refuse(connection, refusal)
            return None
        return self._fork(connection, request)

    def _fork(self, connection: socket.socket, request: dict[str, Any]) -> dict[str, Any] | None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            return request
        self.kernels.add(pid, connection)
        return None

    def _unfit(self) -> str:
        threads = len(os.listdir("/proc/self/task"))
        return "" if threads == 1 else f"the template has {threads} threads"

    def _mismatch(self, request: dict[str, Any]) -> str:
        """Say why a kernel with these variables cannot come from here, or nothing."""
        mine, theirs, private = self.spec["variables"], request["env"], set(self.spec["private"])
        names = {name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)} - private
        if names:
            return "other values of {}".format(", ".join(sorted(names)))
        if len(theirs[self.spec["mark_name"]].encode()) > self.mark_place[1]:
            return "the job's mark is too long"
        found: str = self.preload.difference(request["cwd"])
        return found

    def let_go(self) -> None:
        """Forget the sockets without closing them: the kernel closes all descriptors, and gives the numbers to others.

        Otherwise they would be closed once more at its end, when they are ZeroMQ's, which aborts the process for that.
        """
        for node in self.nodes.values():
            node.listener.detach()
        self.kernels.let_go()

    # The tree

    def _top(self, node: Node) -> Node:
        """Return the ancestor of `node` that is a direct child of this process's node; itself for our own."""
        mine = self.own.id if self.own is not None else None
        while node is not self.own and node.parent != mine:
            node = self.nodes[node.parent or ""]
        return node

    def _start(self, node: Node) -> None:
        """Fork the process of a direct child."""
        node.starting, node.rounds = True, node.rounds + 1
        receive, send = os.pipe()
        pid = os.fork()
        if pid != 0:
            os.close(send)
            self.pipes[receive] = (node, pid)
            return
        try:
            self._become(node, receive)
            before_cells = node.parent is None
            excluded = {*self.excluded, *(() if before_cells else _NEEDS_SHELL)}
            tainted = self.preload.load(node.modules, node.allowed, excluded, before_cells=before_cells)
            if before_cells:
                os.environ.update(self.environ)
                self.kernel["spare_work"](self.patterns)
            report = json.dumps(tainted)
        except BaseException as error:  # noqa: BLE001  # whatever it was, this process must not go on as another
            os.write(2, f"{node.id}: {error!r}\n".encode())
            os._exit(1)
        _write_all(send, report.encode() + b"\n")
        os.close(send)
        if tainted:
            os._exit(0)

    def _become(self, node: Node, receive: int) -> None:
        os.close(receive)
        for number in self.pipes:
            os.close(number)
        self.pipes.clear()
        self.kernels.forget()
        below = {name: other for name, other in self.nodes.items() if self._top(other) is node}
        for other in self.nodes.values():
            if other.id not in below:
                other.listener.close()
        self.nodes, self.own = below, node
        node.starting = False

    def _started(self, number: int) -> None:
        """Hear how the start of a child ended, and try again without the modules that it refused."""
        node, pid = self.pipes.pop(number)
        with os.fdopen(number, "rb") as pipe:
            text = pipe.read()
        tainted = json.loads(text) if text.endswith(b"\n") else None
        if tainted is None or tainted:
            os.waitpid(pid, 0)
        if tainted:
            fresh = set(tainted) - set(self.excluded)
            self.excluded.update(tainted)
            _log(f"{node.id}: not ahead of the kernel: {json.dumps(tainted)}")
            if fresh and node.rounds < _ROUNDS:
                self._start(node)
                return
        if tainted is None or tainted:
            node.starting, node.refusal = False, f"the template {node.id} could not be made"
            return
        _note(self.spec["directory"], node.id, pid, self.excluded)
        for other in [other for other in self.nodes.values() if self._top(other) is node]:
            other.listener.close()
            del self.nodes[other.id]

    def _end(self) -> None:
        self.kernels.end()
        os._exit(0)


def _write_all(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


def _log(text: str) -> None:
    os.write(2, (text + "\n").encode())


def _note(directory: str, node: str, pid: int, excluded: dict[str, str]) -> None:
    """Write down that a node is up, and what was refused, so that the next run need not find out again."""
    place = os.path.join(directory, node + ".json")
    with open(place + ".new", "w") as file:
        json.dump({"pid": pid, "excluded": sorted(excluded)}, file)
    os.replace(place + ".new", place)


def main(place: str) -> None:
    """Serve as the specification in the file `place` says; returns in each child that is to be a kernel."""
    with open(place, "rb") as file:
        spec = json.loads(file.read())
    if sys.path[:1] == [""]:
        del sys.path[0]
    launcher = importlib.util.find_spec("ipykernel_launcher").origin  # type: ignore[union-attr]
    sys.argv[:] = [launcher, "-f", os.path.join(spec["directory"], "kernel.json"), *spec["arguments"]]  # type: ignore[list-item]
    from ipykernel import kernelapp  # noqa: F401  # what the launcher loads

    spec["namespaces"] = _beside("namespaces")
    spec["namespaces"]["compile_ahead"](spec["keepers"])
    own = _beside("own_modules")["own_builtins"]()
    spec["reading"] = _beside("reading", own)
    spec["warned"] = _beside("warned", own)["WarningRecorder"]()
    spec["warned"].install()
    spec["library"] = spec["namespaces"]["load_library"]()
    kernel = _beside("template_kernel")
    spec["at_shutdown"] = kernel["keep_for_shutdown"]()
    preload = _make_preload(spec)
    template = Template(spec, preload, kernel, _beside("children")["Kernels"]())
    baseline, request = (spec["baseline"], None) if spec["baseline"] else kernel["probe"](template)
    if request is None:
        template.nodes["base"].modules = baseline["modules"]
        template.environ = baseline["environ"]
        template.patterns = baseline.get("patterns", [])
        request = template.serve()
        kernel["patch_kernel"](template)
    kernel["turn_into_kernel"](template, request)


def _make_preload(spec: dict[str, Any]) -> Any:
    """Put together what imports modules and watches them."""
    directory, here = os.path.realpath(spec["directory"]), os.path.realpath(spec["here"])
    places = _beside("kept_places")["KeptPlaces"](directory, here)
    consulted = _beside("consulted")["Consulted"](directory, here, places)
    spying, state, adoption = _beside("os_spies"), _beside("kernel_state"), _beside("adoption")
    module_code = _beside("module_code")
    spies = spying["OsSpies"](spec["private"], consulted.look, consulted.touch)
    randomness = _beside("random_state")["RandomState"]()
    tripwires = _beside("tripwires")["Tripwires"](randomness, consulted, places, spies)
    requests = _beside("import_requests")["Requests"](state["shared_lists"], spying["put_back"])
    recorder = spec["warned"]
    recorder.imported = lambda warning: requests.note_warning(warning) or tripwires.trip_importer()

    def set_aside(base: frozenset[str], lists: dict[str, list[Any]]) -> Any:
        standard = consulted.watched()
        watched = standard | requests.asked() | (sys.modules.keys() - base)
        code = module_code["ModuleCode"](watched, base | standard, places.names_private)
        return adoption["Aside"](requests, base, state["KernelState"](consulted, code, recorder), lists)

    make = _beside("template_preload")["Preload"]
    return make(tripwires, randomness, consulted=consulted, places=places, requests=requests, set_aside=set_aside)


def _beside(name: str, own: Any = __builtins__) -> dict[str, Any]:
    """Run a file beside this one with its own builtins, no trace in ``sys.modules``, and return what it defines."""
    place = os.path.join(os.path.dirname(__file__), name + ".py")
    with open(place, "rb") as file:
        code = compile(file.read(), place, "exec")
    space: dict[str, Any] = {"__name__": name, "__file__": place, "__builtins__": own}
    exec(code, space)  # noqa: S102  # our own file
    return space


def _run_kernel() -> int:
    """Be a kernel until it ends; return its exit code."""
    try:
        # Exactly what `python -m ipykernel_launcher` calls.
        runpy._run_module_as_main("ipykernel_launcher")  # type: ignore[attr-defined]
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 0


def _end_as(code: int) -> None:
    """End this process as the interpreter does, up to the exit handlers.

    What is left out would take a kernel's modules apart, and copy all memory that it shares with its template for it.
    """
    sys.modules["threading"]._shutdown()
    sys.modules["atexit"]._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # it is closed, or not there
            pass
    os._exit(code)


if __name__ == "__template__":  # as `run/warm/templates` starts it
    main(sys.argv[2])
    _end_as(_run_kernel())
