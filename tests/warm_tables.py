# ruff: noqa: E501, ISC004  # a line of a notebook is as long as it is
"""Notebooks made to notice whether their kernel was forked, and modules made to tell."""

from __future__ import annotations

MODULES = {
    "prints_at_import": "print('hello from an import')",
    "warns_at_import": "import warnings\nwarnings.warn('old', UserWarning, stacklevel=1)",
    "starts_a_thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "starts_a_process": "import subprocess\nchild = subprocess.Popen(['sleep', '60'])",
    "opens_a_file": "held = open(__file__)",
    "asks_for_the_shell": "from IPython import get_ipython\nshell = get_ipython()\nkind = type(shell).__name__\nhas = shell.user_ns is not None",
    "asks_whether_notebook": "from IPython import get_ipython\nnotebook = 'IPKernelApp' in get_ipython().config and hasattr(get_ipython(), 'kernel')",
    "keeps_the_streams": "import sys, logging\nout, err = sys.stdout, sys.stderr\nwrite = sys.stdout.write\nlogger = logging.getLogger('keeper')\nlogger.addHandler(logging.StreamHandler())",
    "sets_the_environment": "import os\nos.environ['SET_AT_IMPORT'] = 'yes'\nos.environ.pop('LANG', None)",
    "filters_warnings": "import warnings\nwarnings.filterwarnings('ignore', category=DeprecationWarning)\nwarnings.simplefilter('always', ResourceWarning)",
    "handles_a_signal": "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
    "has_a_generator": "import random\nown = random.Random()\nfixed = random.Random(7)",
    "seeds_the_generator": "import random\nrandom.seed(3)",
    "changes_the_path": "import sys\nsys.path.insert(0, '/nowhere')",
    "draws_an_identifier": "import uuid\nname = uuid.uuid4().hex",
    "imports_one_that_prints": "import prints_at_import",
    "says_goodbye": "import atexit\natexit.register(lambda: open('goodbye.txt', 'w').close())",
    "tells_who_asks_for_its_class": (
        "asked = []\n"
        "class Proxy:\n"
        "    @property\n"
        "    def __class__(self):\n"
        "        asked.append(1)\n"
        "        return int\n"
        "thing, settings = Proxy(), {'inner': Proxy(), 'deep': {'one': Proxy()}}"
    ),
    "logs_to_root": "import logging\nlogging.basicConfig(format='%(levelname)s-%(message)s')",
    "looks_for_main": "import __main__, sys, builtins\nseen = (hasattr(__main__, '__file__'), hasattr(sys, 'ps1'), hasattr(builtins, '__IPYTHON__'))",
    "consults": (
        "import locale, logging, os, sys, warnings\nvariable, where = os.environ.get('CONSULTED'), os.getcwd()\n"
        "there = os.path.exists('consulted.ini'), os.access('made/here', os.F_OK)\n"
        "home = os.path.exists(os.path.expanduser('~/.consulted'))\ncores, limit = os.cpu_count(), sys.getrecursionlimit()\n"
        "text = open('consulted.txt').read() if os.path.isfile('consulted.txt') else ''\nmask = os.umask(0)\nos.umask(mask)\n"
        "comma, level = locale.localeconv(), logging.getLogger().getEffectiveLevel()\nargv, temporary = sys.argv[1:], os.environ['TMPDIR']\n"
        "lists = {'path': sys.path[:1], 'temporary': temporary}\n"
        "try:\n    import optional_thing\nexcept ImportError:\n    optional_thing = None\n"
        "warnings.warn('no more', DeprecationWarning)\nimport colorsys, json.tool, xml.dom.minidom\n"
    ),
    "keeps_its_place": "import os, pathlib\nplaces = {(os.getcwd(), 1): [pathlib.Path.cwd()]}\ndef own(): return [str(k[0]) for k in places]",
    "looks_above": "import os\nabove = os.path.exists('../consulted.ini')",
    "settings": "class Options:\n    depth = 1\n    def __init__(self): self.level = 1\noptions, inner, LEVEL = {'a': {'b': 1}, 'c': 1}, Options(), 1\ndef level(): return LEVEL",
    "reads_settings": "import settings\nseen = settings.options['a']['b'], settings.options['c'], settings.inner.level, settings.level()",
    "imports_main": "import __main__\nprogram = bool(__main__)",
    "knows_its_process": "import os\nprocess = os.getpid()",
    "deprecates_itself": "import warnings\nwarnings.warn('this module goes', DeprecationWarning)\nwarnings.warn('so does this', PendingDeprecationWarning)",
    "deprecates_its_import": "import warnings\nwarnings.warn('do not import this', DeprecationWarning, stacklevel=2)",
    "imports_a_deprecated": "import os\nimport deprecates_its_import",
    "has_old_functions": "import warnings\ndef old(): warnings.warn('old', DeprecationWarning)\ndef older(): warnings.warn('older', FutureWarning, stacklevel=2)",
    "knows_the_program": "import sys\nprogram = sys.argv[0].rpartition('/')[2]",
}
"""Modules outside the environment, on ``PYTHONPATH``; each does at import what a template must notice."""

PLAIN: dict[str, list[str]] = {
    "sys.modules": ["import sys\nprint(*sorted(sys.modules), sep='\\n')"],
    "sys.modules later": [
        "import json, colorsys, xml.dom.minidom",
        "import sys\nprint(*sorted(sys.modules), sep='\\n')",
    ],
    "__main__": [
        "import __main__, sys\nprint(__name__, vars(__main__) is globals(), hasattr(__main__, '__file__'),"
        " __main__.__spec__, sys.modules['__main__'] is __main__, type(__main__), __main__.__doc__)",
        "print(sorted(globals()))\nprint(sorted(vars(__builtins__)))",
    ],
    "os.environ": [
        "import os\nprint(sorted(os.environ.items()))\nprint(os.getppid() == int(os.environ['JPY_PARENT_PID']))",
        "print(sorted(__import__('posix').environ) == sorted(os.environb))",
        "import subprocess\nprint(*sorted(subprocess.run(['env'], capture_output=True, text=True).stdout.splitlines()))",
    ],
    "the mark": [
        "marks = [e for e in open('/proc/self/environ').read().split('\\0') if e.startswith('ENVSOLVER_JOB=')]\n"
        "import os\nprint(marks == ['ENVSOLVER_JOB=' + os.environ['ENVSOLVER_JOB']])"
    ],
    "signals": ["import signal\n{str(s): str(signal.getsignal(s)) for s in signal.valid_signals()}"],
    "blocked signals": ["import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [])"],
    "descriptors": [
        "import gc, os, re\ngc.collect()\ndef kind(f):\n    try:\n        return re.sub(r'\\d+', 'N', os.readlink('/proc/self/fd/' + f))\n"
        "    except OSError:\n        return 'gone'\n"
        # Not how many: a thread of the kernel has one more when it has printed, and connections come when they come.
        # What is gone was the listing's own, or that of a thread which had just closed it.
        "sorted({kind(f) for f in os.listdir('/proc/self/fd')} - {'gone'})"
    ],
    "descriptors used up": [
        "import os\nheld = []\ntry:\n    while True: held.append(os.open('/dev/null', 0))\nexcept OSError as e: print(e.errno)",
        "print('more'); [os.close(f) for f in held]\nNone",
    ],
    "standard streams": [
        "import os, sys\nprint(type(sys.stdout), type(sys.stdin), sys.stdin.read(), sys.stdout.encoding, sys.stdout.isatty())\n"
        "print(sys.__stdout__, sys.__stderr__.line_buffering, os.readlink('/proc/self/fd/0'))",
        "print('out'); print('err', file=sys.stderr)\nsys.stdout.flush()",
        "os.write(1, b'from below\\n'); import time; time.sleep(0.5)",
        "!echo from a shell",
    ],
    "program": [
        "import os, sys\nprint(os.getcwd(), sys.argv, sys.path, sys.executable, sys.flags, sys.prefix, sys.warnoptions)",
        "print(getattr(sys, 'orig_argv', None), sys.ps1, sys.meta_path, sys.path_hooks, sys.getrecursionlimit())",
        "print(sys.excepthook, sys.displayhook, sys.unraisablehook, sys.gettrace(), sys.getprofile())",
        "print(sys.getswitchinterval(), sys.dont_write_bytecode, sys.breakpointhook)",
    ],
    "session": ["import os\nprint(os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid(), os.nice(0))"],
    "logging": [
        "import logging\nprint(logging.getLogger().handlers, logging.getLogger().level, len(logging._handlerList),"
        " sorted(logging._handlers))\nprint(sorted(logging.getLogger().manager.loggerDict))",
        "logging.warning('a warning'); logging.getLogger('x').error('an error')",
    ],
    "warnings": [
        "import warnings\nprint(*warnings.filters, sep='\\n')\nprint(warnings.showwarning)",
        "warnings.warn('old', DeprecationWarning); warnings.warn('beware')",
        "import re\nre.compile('[[a]')",
    ],
    "threads": [
        "import os, threading\nprint(sorted((t.name, t.daemon, type(t).__name__) for t in threading.enumerate()))",
        "print(threading.main_thread() is threading.current_thread(), threading.main_thread().native_id == os.getpid())",
        "done = []\nt = threading.Thread(target=done.append, args=(1,)); t.start(); t.join(); done",
    ],
    "asyncio": [
        "import asyncio\nloop = asyncio.get_running_loop()\nprint(type(loop), type(asyncio.get_event_loop_policy()))",
        "await asyncio.sleep(0.01)\nawait asyncio.gather(*[asyncio.sleep(0, n) for n in range(3)])",
        "asyncio.run(asyncio.sleep(0))",
    ],
    "multiprocessing": [
        "import math, multiprocessing as mp\nprint(mp.get_start_method(), mp.current_process().name, mp.parent_process(),"
        " mp.active_children())",
        "for method in ('fork', 'spawn', 'forkserver'):\n"
        "    with mp.get_context(method).Pool(2) as pool:\n        print(method, pool.map(math.sqrt, [1, 4, 9]))",
        "from concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(2, mp_context=mp.get_context('fork')) as pool: print(list(pool.map(math.sqrt, [16, 25])))",
        "from multiprocessing import shared_memory\ns = shared_memory.SharedMemory(create=True, size=10)\n"
        "s.buf[0] = 7\nprint(s.buf[0]); s.close(); s.unlink()",
    ],
    "fork": ["import os\npid = os.fork()\nif pid == 0: os._exit(7)\nos.WEXITSTATUS(os.waitpid(pid, 0)[1])"],
    "subprocess": [
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import os, sys; print(sys.path, os.getcwd(), sys.argv)'],"
        " capture_output=True, text=True)",
        "%%bash\necho $PWD $0; exit 0",
        "!python -c 'import sys; print(sys.prefix)'",
    ],
    "place and time": [
        "import locale, os, resource, time\nprint(time.tzname, locale.setlocale(locale.LC_ALL), locale.getpreferredencoding())",
        "m = os.umask(0); os.umask(m); print(oct(m))\n"
        "print([resource.getrlimit(getattr(resource, n)) for n in sorted(dir(resource)) if n.startswith('RLIMIT')])",
        "print(time.process_time() < 20, sorted(os.sched_getaffinity(0)), os.getuid())",
    ],
    "temporary files": [
        "import tempfile\nprint(tempfile.tempdir, tempfile.gettempdir())\nprint(tempfile.mkdtemp()[:-8])"
    ],
    "collector": [
        "import gc\nprint(gc.isenabled(), gc.get_threshold(), len(gc.callbacks), gc.get_debug(), gc.garbage)"
    ],
    "input": ["input('name? ')"],
    "getpass": ["import getpass\ngetpass.getpass()"],
    "goodbye": ["import atexit\natexit.register(lambda: open('goodbye.txt', 'w').close())\nprint('registered')"],
    "traceback": ["import json\ndef deeper():\n    return json.loads('{')\ndeeper()"],
    "shell": [
        "ip = get_ipython()\nprint(type(ip), ip.kernel, ip.config, ip.history_manager.hist_file, ip.history_manager.enabled)",
        "21 * 2",
        "print(In, Out, _)",
        "%history",
        "%who",
        "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))\nHTML('<i>y</i>')",
        "import comm, ipykernel.comm\nprint(comm.create_comm, comm.get_comm_manager())",
    ],
    "magics": [
        "%time x = sum(range(10))\nx",
        "%%capture c\nprint('caught')",
        "c.stdout",
        "%env HOME",
        "%pwd",
        "%lsmagic",
    ],
    "modules shadowed": ["import json\nprint(json.__file__, json.__spec__.origin, json.__loader__)"],
    "faulthandler": ["import faulthandler\nfaulthandler.is_enabled()"],
    "database": ["import sqlite3\nsqlite3.connect(':memory:').execute('select 1 + 1').fetchall()"],
    "recursion": ["def down(): return down()\ndown()"],
}
"""Notebooks that need nothing but ipykernel."""

SCIENCE: dict[str, list[str]] = {
    "sys.modules with numpy": ["import numpy\nimport sys\nprint(*sorted(sys.modules), sep='\\n')"],
    "seeded numpy": [
        "import numpy as np\nnp.random.seed(3)\nprint(np.random.rand(3), np.random.default_rng(3).random(2))"
    ],
    "numpy state": ["import numpy as np\nprint(np.geterr(), np.get_printoptions(), np.random.get_state()[0])"],
    "numpy speaks": ["import numpy as np\nnp.array([1.0]) / 0", "np.log(-1.0)\nnp.linalg.inv(np.zeros((2, 2)))"],
    "matplotlib": [
        "import matplotlib\nprint(matplotlib.get_backend(), matplotlib.is_interactive())",
        "import matplotlib.pyplot as plt\nprint(plt.get_backend(), plt.isinteractive(), plt.get_fignums())\n"
        "print(sorted((k, str(v)) for k, v in matplotlib.rcParams.items()))",
        "plt.plot([1, 2, 3])",
        "plt.figure(); plt.title('x'); plt.show()\nprint('after')",
        "fig, ax = plt.subplots()\nax.imshow([[1, 2], [3, 4]])\nfig.savefig('figure.png')",
        "print(sorted(e.__qualname__ for e in get_ipython().events.callbacks['post_execute']),"
        " len(get_ipython().display_formatter.formatters['image/png'].type_printers))",
    ],
    "matplotlib magic": ["%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1])", "plt.gcf()"],
    "numpy in processes": [
        "import multiprocessing as mp\nimport numpy as np",
        "with mp.get_context('fork').Pool(2) as pool: print(pool.map(np.sum, [[1, 2], [3, 4]]))",
        "with mp.get_context('spawn').Pool(1) as pool: print(pool.map(np.sum, [[1, 2]]))",
    ],
}
"""Notebooks that need numpy and matplotlib."""

TELLTALE: dict[str, list[str]] = {
    "prints_at_import": ["print('before')", "import prints_at_import", "print('after')"],
    "imports_one_that_prints": ["import imports_one_that_prints"],
    "warns_at_import": ["import warns_at_import"],
    "starts_a_thread": ["import starts_a_thread, threading\nlen(threading.enumerate())"],
    "starts_a_process": ["import starts_a_process\nstarts_a_process.child.poll()"],
    "opens_a_file": ["import opens_a_file\nopens_a_file.held.tell()"],
    "asks_for_the_shell": ["import asks_for_the_shell as a\na.shell is get_ipython(), a.kind, a.has"],
    "asks_whether_notebook": ["import asks_whether_notebook as a\na.notebook"],
    "keeps_the_streams": [
        "import sys, keeps_the_streams as k\nprint(k.out is sys.stdout, k.err is sys.stderr)",
        "k.out.write('kept\\n'); k.write('written\\n'); k.logger.warning('logged'); print('last')",
    ],
    "sets_the_environment": [
        "import os, sets_the_environment\nprint(os.environ.get('SET_AT_IMPORT'), os.environ.get('LANG'))",
        "import subprocess\nprint(subprocess.run('echo $SET_AT_IMPORT', shell=True, capture_output=True).stdout)",
    ],
    "filters_warnings": [
        "import warnings, filters_warnings\nprint(*warnings.filters, sep='\\n')",
        "warnings.warn('x', DeprecationWarning)",
    ],
    "handles_a_signal": ["import signal, handles_a_signal\nsignal.getsignal(signal.SIGUSR1)"],
    "seeds_the_generator": ["import random, seeds_the_generator\nrandom.random()"],
    "has_a_generator": ["import has_a_generator\nhas_a_generator.fixed.random()"],
    "changes_the_path": ["import sys, changes_the_path\nsys.path"],
    "says_goodbye": ["import says_goodbye\nprint('hello')"],
    "logs_to_root": [
        "import logging, logs_to_root\nlogging.warning('to root')\nprint(len(logging.getLogger().handlers))"
    ],
    "looks_for_main": ["import looks_for_main\nlooks_for_main.seen"],
    "knows_the_program": ["import knows_the_program\nknows_the_program.program"],
}
"""Notebooks that import the telling modules."""

ENDS: dict[str, tuple[list[str], dict[str, object]]] = {
    "an error": (["1", "1 / 0"], {}),
    "os._exit": (["1", "import os\nos._exit(3)", "1"], {}),
    "exit": (["exit()", "1"], {}),
    "a crash": (["import ctypes\nctypes.string_at(0)"], {}),
    "SIGKILL": (["import os\nos.kill(os.getpid(), 9)"], {}),
    "SIGTERM": (["import os\nos.kill(os.getpid(), 15)\nimport time; time.sleep(20)"], {}),
    "SystemExit": (["raise SystemExit(2)"], {}),
    "an endless loop": (["while True: pass"], {"cell_timeout": 2.0}),
    "too much memory": (["x = bytearray(600 * 2**20)\nimport time; time.sleep(20)"], {"memory": 400 * 2**20}),
}
"""Notebooks that do not pass, with options of their job."""

CONSULT = (
    "import numpy as np\nimport consults\n"
    "print(*sorted((k, repr(v).split(' at 0x')[0]) for k, v in vars(consults).items() if k[0] != '_'), sep='\\n')"
)

DEEDS: dict[str, tuple[dict[str, str], list[str]]] = {
    "nothing": ({}, [CONSULT]),
    "a variable": ({}, ["import os\nos.environ['CONSULTED'] = 'yes'", CONSULT]),
    "a variable of the system's": ({}, ["import os\nos.putenv('CONSULTED', 'yes')\nos.environ['X'] = ''", CONSULT]),
    "a .env that is read": (
        {".env": "CONSULTED=secret"},
        ["import os\nfor line in open('.env'):\n    k, v = line.split('=')\n    os.environ.setdefault(k, v)", CONSULT],
    ),
    "%env": ({}, ["%env CONSULTED=magic", CONSULT]),
    "another folder": ({"sub/consulted.ini": ""}, ["import os\nos.chdir('sub')", CONSULT]),
    "%cd": ({"sub/consulted.ini": ""}, ["%cd -q sub", CONSULT]),
    "a file beside": ({"consulted.txt": "hello"}, [CONSULT]),
    "a file above": ({"../consulted.ini": "hello"}, ["import numpy, looks_above", "print(looks_above.above)"]),
    "a file that a cell writes": ({}, ["with open('consulted.ini', 'w') as f: f.write('x')", CONSULT]),
    "%%writefile": ({}, ["%%writefile consulted.txt\nhello", CONSULT]),
    "a folder that a cell makes": ({}, ["!mkdir -p made/here", CONSULT]),
    "a module beside, looked for in vain": ({"optional_thing.py": "found = 1"}, [CONSULT]),
    "a folder beside, looked for in vain": ({"optional_thing/data.txt": ""}, [CONSULT]),
    "a module that a cell writes": ({}, ["open('optional_thing.py', 'w').close()", CONSULT]),
    "a package beside": ({"numpy/__init__.py": "mine = True"}, ["import numpy\nprint(numpy.mine)"]),
    "a package that a cell writes": (
        {},
        [
            "import os\nos.mkdir('numpy')\nopen('numpy/__init__.py', 'w').close()",
            "import numpy\nprint(hasattr(numpy, 'array'))",
        ],
    ),
    "a module of the standard library beside": (
        {"colorsys.py": "mine = 1"},
        [CONSULT, "import colorsys\nprint(hasattr(colorsys, 'mine'))"],
    ),
    "the import path": (
        {"lib2/optional_thing.py": ""},
        ["import sys\nsys.path.insert(0, 'lib2')", CONSULT],
    ),
    "the import path, at the end": ({"lib2/optional_thing.py": ""}, ["import sys\nsys.path.append('lib2')", CONSULT]),
    "the locale": (
        {},
        [
            "import locale\nlocale.setlocale(locale.LC_ALL, 'C.UTF-8')\nlocale.setlocale(locale.LC_NUMERIC, 'C')",
            CONSULT,
        ],
    ),
    "the mask": ({}, ["import os\n_ = os.umask(0o77)", CONSULT]),
    "warnings as errors": ({}, ["import warnings\nwarnings.simplefilter('error')", "import consults"]),
    "warnings shown": ({}, ["import warnings\nwarnings.simplefilter('always')", "import consults"]),
    "logging": (
        {},
        [
            "import logging\nlogging.basicConfig(level=logging.DEBUG)",
            "import matplotlib.pyplot\nprint('done')",
            CONSULT,
        ],
    ),
    "a function": ({}, ["import os\nos.cpu_count = lambda: 77", CONSULT]),
    "a limit": ({}, ["import sys\nsys.setrecursionlimit(2345)", CONSULT]),
    "arguments": ({}, ["import sys\nsys.argv = ['program', '--verbose']", CONSULT]),
    "a fake module": (
        {},
        ["import sys, types\nsys.modules['optional_thing'] = types.ModuleType('optional_thing')", CONSULT],
    ),
    "a fake package": (
        {},
        [
            "import sys, types\nsys.modules['numpy'] = types.ModuleType('numpy')",
            "import numpy\nprint(hasattr(numpy, 'array'))",
        ],
    ),
    "a fake that stands for nothing": (
        {},
        ["import sys\nsys.modules['numpy'] = None", "try:\n    import numpy\nexcept ImportError as e:\n    print(e)"],
    ),
    "an import hook": (
        {},
        [
            "import builtins\nreal = builtins.__import__\nasked = []\n"
            "def spy(name, *rest):\n    asked.append(name)\n    return real(name, *rest)\nbuiltins.__import__ = spy",
            "import numpy, consults",
            "builtins.__import__ = real\nprint(*(n in asked for n in ('numpy', 'colorsys', 'json.tool')))",
        ],
    ),
    "a finder": (
        {},
        [
            "import sys\nclass Finder:\n    asked = []\n    def find_spec(self, name, path=None, target=None):\n"
            "        self.asked.append(name)\nsys.meta_path.insert(0, Finder())",
            "import numpy, consults\nprint(Finder.asked[:20])",
        ],
    ),
    "what libraries found set": (
        {},
        ["import numpy as np\nnp.seterr(all='raise')", "import consults, matplotlib\nprint(np.geterr())"],
    ),
    "a setting": (
        {},
        ["import settings\nsettings.options['a']['b'] = 2", "import reads_settings\nprint(reads_settings.seen)"],
    ),
    "a setting on top": (
        {},
        ["import settings\nsettings.options['c'] = 2", "import reads_settings\nprint(reads_settings.seen)"],
    ),
    "a setting in an object": (
        {},
        ["import settings\nsettings.inner.level = 2", "import reads_settings\nprint(reads_settings.seen)"],
    ),
    "a setting of a module": (
        {},
        ["import settings\nsettings.LEVEL = 2", "import reads_settings\nprint(reads_settings.seen)"],
    ),
    "a setting that is no other's": (
        {},
        ["import settings\nsettings.LEVEL = 2", "import numpy, matplotlib\nprint('done')"],
    ),
    "a setting of matplotlib's": (
        {},
        [
            "import matplotlib\nmatplotlib.rcParams['lines.linewidth'] = 7",
            "import matplotlib.pyplot as plt\nprint(plt.rcParamsOrig['lines.linewidth'])",
        ],
    ),
    "a module that asks for the program": ({}, ["import imports_main", "import numpy\nprint(imports_main.program)"]),
    "a path behind": (
        {"lib2/numpy/__init__.py": "mine = 1"},
        ["import sys\nsys.path.append('lib2')", "import numpy\nprint(hasattr(numpy, 'mine'))"],
    ),
    "configuration beside": (
        {"matplotlibrc": "lines.linewidth: 7"},
        ["import matplotlib\nprint(matplotlib.rcParams['lines.linewidth'])"],
    ),
    "configuration that a cell writes": (
        {},
        [
            "open('matplotlibrc', 'w').write('lines.linewidth: 7')",
            "import matplotlib\nprint(matplotlib.rcParams['lines.linewidth'])",
        ],
    ),
    "a backend that there is not": (
        {".env": "MPLBACKEND=nosuchbackend"},
        [
            "import os\nos.environ.update(line.strip().split('=') for line in open('.env'))",
            "import matplotlib.pyplot as plt\nplt.plot([1])",
        ],
    ),
    "in another process": (
        {},
        [
            "import os, multiprocessing as mp\ndef work():\n    os.environ['CONSULTED'] = 'child'\n    import consults\n    print(consults.variable)\n"
            "p = mp.get_context('fork').Process(target=work)\np.start(); p.join(); print(p.exitcode)",
            "import numpy, consults\nprint(consults.variable)",
        ],
    ),
    "sys.modules step by step": (
        {},
        [
            "import sys\nbefore = list(sys.modules)",
            "import numpy.polynomial\nprint([n for n in sys.modules if n not in before])\nbefore = list(sys.modules)",
            "import consults\nprint([n for n in sys.modules if n not in before])\nbefore = list(sys.modules)",
            "from matplotlib import pyplot\nprint([n for n in sys.modules if n not in before])",
        ],
    ),
    "what imports add": (
        {},
        [
            "import os, sys, warnings\nprint(sorted(os.environ), sys.meta_path, warnings.filters)",
            "import numpy, matplotlib.pyplot, sets_the_environment, filters_warnings",
            "print(sorted(os.environ), sys.meta_path, *warnings.filters, sep='\\n')",
        ],
    ),
    "where it stands, in a tuple": (
        {},
        ["import numpy, keeps_its_place", "import os\nprint(keeps_its_place.own() == [os.getcwd()])"],
    ),
    "where it stands": (
        {},
        [
            "import numpy, consults\nimport os\nprint(consults.where == os.getcwd(), consults.lists['temporary'] == os.environ['TMPDIR'])"
        ],
    ),
    "a module that is missing": ({}, ["import numpy", "import no_such_module"]),
    "an import that fails": ({}, ["import numpy", "from numpy import no_such_thing"]),
    "a traceback through an import": ({"broken.py": "import numpy\n1 / 0"}, ["import numpy", "import broken"]),
    "again": ({}, ["import importlib, consults", "print(importlib.reload(consults) is consults)"]),
    "removed and again": (
        {},
        [
            "import sys, consults\nfirst = consults\ndel sys.modules['consults']",
            "import consults\nprint(consults is first)",
        ],
    ),
}
"""What a notebook can do before and between its imports, with the files beside it: each must end as in a cold kernel."""

HARMLESS = (
    "nothing",
    "a setting that is no other's",
    "a path behind",
    "a module that asks for the program",
    "where it stands",
    "sys.modules step by step",
    "a module that is missing",
    "what imports add",
)
"""Those of `DEEDS` after which a kernel stays warm."""
