"""Stands where Parsl starts one of its programs, and has `fork_server` fork it; without a server, starts it anew.

Run as ``python -I -S launcher.py <server's socket> <output file> <program> <its arguments>``, and imports next to
nothing. Its end is the program's end, with the same exit code, and its program ends when it does.
"""

# ruff: noqa: PTH100, PTH109, PTH118, PTH120  # pathlib would cost as much as all the rest
import array
import json
import os
import socket
import sys

_PATIENCE = 60.0


def main() -> None:
    """Ask the server, then wait for the program's end."""
    address, output, *argv = sys.argv[1:]
    if output:
        # Ctrl-C in a terminal reaches all processes of its session. The interchange must neither end before the
        # controller has said what becomes of the run, nor print a traceback over its report.
        os.setsid()
    os.environ["SPT_NOENV"] = "1"  # Parsl's processes rename themselves, which would overwrite what marks them
    request = {"argv": argv, "cwd": os.getcwd(), "env": dict(os.environ), "output": output}
    try:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.settimeout(_PATIENCE)
        server.connect(address)
        streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
        data = json.dumps(request).encode() + b"\n"
        sent = server.sendmsg([data], streams)
        server.sendall(data[sent:])
        answers = server.makefile("rb")
        json.loads(answers.readline())["pid"]
    except (OSError, ValueError, KeyError):
        _start_anew(output, argv)
        return
    # What the program shares must end with it: the end of its streams is then its own end.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    server.settimeout(None)
    try:
        code = json.loads(answers.readline())["exit"]
    except (OSError, ValueError, KeyError):
        code = 1
    sys.exit(code if code >= 0 else 128 - code)


def _start_anew(output: str, argv: "list[str]") -> None:
    if output:
        try:
            file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except FileNotFoundError:
            sys.exit(1)  # the run has ended, and its folder is gone
        os.dup2(file, 1)
        os.dup2(file, 2)
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs.py")
    os.execv(sys.executable, [sys.executable, program, *argv])  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main()
