# ruff: noqa: SLF001, PTH123, PTH208, PTH118, PTH120, SIM105  # it imports no more than a kernel does
"""How a forked child of a template becomes a kernel, and what is found out of one beforehand.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library and ipykernel. It imports only
what every kernel holds anyway.
"""

from __future__ import annotations

import json
import os
import sys
import types

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from typing import Any

_SHELL_CHECK = {"one": "1"}  # an expression as the worker asks them


def find_mark(name: str) -> tuple[int, int]:
    """Return where in memory the value of a variable of the initial environment stands, and its length.

    What is written there shows in ``/proc/<pid>/environ``, by which the processes of a job are found.
    """
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    begin, end = int(fields[47]), int(fields[48])
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(begin)
        data = memory.read(end - begin)
    key = b"\0" + name.encode() + b"="
    place = data.index(key) + len(key)
    return begin + place, data.index(b"\0", place) - place


def _write_mark(place: tuple[int, int], mark: str) -> None:
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(place[0])
        memory.write(mark.encode().ljust(place[1], b"\0"))


def keep_for_shutdown() -> Any:
    """Import what a kernel imports when it is told to end, out of sight; return what puts it in its place then."""
    before = set(sys.modules)
    try:
        import psutil  # noqa: F401  # some versions of ipykernel import it at once
    except ImportError:
        pass
    kept = {name: sys.modules.pop(name) for name in sys.modules.keys() - before}

    def put_back() -> None:
        if "psutil" not in sys.modules:
            for name, module in kept.items():
                sys.modules.setdefault(name, module)

    return put_back


def turn_into_kernel(template: Any, request: dict[str, Any]) -> None:
    """Make this forked child what ``python -m ipykernel_launcher`` finds when it starts."""
    spec = template.spec
    template.let_go()
    _write_mark(template.mark_place, request["env"][spec["mark_name"]])
    output = os.open(request["log"], os.O_WRONLY | os.O_CREAT, 0o666)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:  # noqa: PLR2004  # beyond standard error
            try:
                os.close(int(name))
            except OSError:  # that of the listing
                pass
    if request.get("plan"):
        # What comes back is a process further; the template hears of its end through those that stay.
        spec["namespaces"]["enter"](request["plan"], spec["library"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update({**request["env"], "JPY_PARENT_PID": str(os.getppid())})
    sys.argv[:] = ["-m", *request["argv"]]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = [sys.executable, "-m", "ipykernel_launcher", *request["argv"]]
    sys.path_importer_cache.pop(spec["here"], None)
    sys.path[:] = [request["cwd"], *template.preload.path]
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=sys.modules["builtins"], __annotations__={})
    sys.modules["__main__"] = main
    threading = sys.modules["threading"]
    threading.main_thread()._set_native_id()
    private = os.path.dirname(request["env"]["TMPDIR"])
    template.preload.renew(request["cwd"], private)
    log, filters = os.path.join(private, "warned"), request.get("filters", ())
    spec["begin"] = lambda: spec["warned"].start(log, filters)
    covering = sys.modules.get("_envsolver_coverage")
    if covering is not None:
        covering.start()
    if request.get("read"):
        watch = spec["reading"]["Watch"](request["read"], private, request["follower"])
        watch.at_finish, watch.at_end = spec["warned"].finish, spec["at_shutdown"]
        watch.start()
        watch.template(*template.preload.consulted_places(), request["cwd"])


def patch_kernel(template: Any, last: Any = None) -> None:
    """Have the kernel's own start take the prepared streams, and know its parent; then leave no trace."""
    from ipykernel import iostream
    from ipykernel.kernelapp import IPKernelApp

    names = ("init_poller", "init_io", "start")
    saved = {name: IPKernelApp.__dict__[name] for name in names}
    streams = template.preload.streams

    def init_poller(app: Any) -> None:
        app.parent_handle = os.getppid()
        saved["init_poller"](app)

    def init_io(app: Any) -> None:
        chosen = app.outstream_class

        def make(session: object, thread: object, name: str, *args: Any, **named: Any) -> Any:
            streams[name].__init__(session, thread, name, *args, **named)
            return streams[name]

        iostream.__dict__["_envsolver_stream"] = make
        app.outstream_class = "ipykernel.iostream._envsolver_stream"
        saved["init_io"](app)
        app.outstream_class = chosen
        del iostream.__dict__["_envsolver_stream"]

    def start(app: Any) -> None:
        for name in names:
            setattr(IPKernelApp, name, saved[name])
        template.preload.settle(template.spec["begin"])
        _open_output(app)
        if last is not None:
            last(app)
        saved["start"](app)

    for function in (init_poller, init_io, start):
        setattr(IPKernelApp, function.__name__, function)


def _open_output(app: Any) -> None:
    """Have the thread that sends output open its way to itself now, as in a cold kernel, which prints something.

    Otherwise it would at the first output, and send none at all in a notebook that has used up all descriptors before.
    """
    thread = app.iopub_thread
    if hasattr(type(thread), "_event_pipe"):
        thread.schedule(lambda: thread._event_pipe)


def probe(template: Any) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Find out which modules every kernel of this environment loads and which variables it sets: fork one to tell.

    In the forked child, the second value is the request to fulfil; the kernel tells and ends when it is up.
    """
    directory = template.spec["directory"]
    place = os.path.join(directory, "probe.answer")
    pid = os.fork()
    if pid != 0:
        os.waitpid(pid, 0)
        try:
            with open(place, "rb") as answer:
                return json.loads(answer.read()), None
        except (OSError, ValueError):
            return {"modules": [], "environ": {}, "patterns": []}, None
    os.setsid()
    env = {**template.spec["variables"], template.spec["mark_name"]: "probe"}
    connection = os.path.join(directory, "probe.json")
    ports = {name + "_port": number for number, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}
    info = {"transport": "ipc", "ip": os.path.join(directory, "p"), "key": "", "signature_scheme": "hmac-sha256"}
    with open(connection, "wb") as file:
        file.write(json.dumps({**info, **ports}).encode())

    def tell(app: Any) -> None:
        app.shell.run_cell("", silent=True)
        app.shell.logger  # noqa: B018  # a cell makes it
        app.shell.user_expressions(_SHELL_CHECK)
        modules, environ = _plain_modules(), _environ_since(env)
        app.shell.transform_cell("x = 1\n")
        with open(place, "wb") as file:
            found = {"modules": modules, "environ": environ, "patterns": _compiled_patterns()}
            file.write(json.dumps(found).encode())
        os._exit(0)

    patch_kernel(template, tell)
    argv = ["-f", connection, *template.spec["arguments"]]
    return {}, {"argv": argv, "cwd": template.spec["here"], "env": env, "log": os.devnull}


def _environ_since(before: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if before.get(name) != value and name != "JPY_PARENT_PID"}


def _compiled_patterns() -> list[tuple[str, int]]:
    """Return the regular expressions that `re` remembers, with their flags."""
    remembered = list(getattr(sys.modules["re"], "_cache", ()))
    return [(key[1], int(key[2])) for key in remembered if key[0] is str]


def spare_work(patterns: list[tuple[str, int]]) -> None:
    """Do once what each kernel would do for itself and no notebook can tell."""
    re = sys.modules["re"]
    for pattern, flags in patterns:
        re.compile(pattern, flags)


def _plain_modules() -> list[str]:
    """Name the modules that came from a file of their own, in the order in which their imports began."""
    found = []
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__dict__", {}).get("__spec__")
        if getattr(spec, "name", None) == name and isinstance(getattr(spec, "origin", None), str):
            found.append(name)
    return found
