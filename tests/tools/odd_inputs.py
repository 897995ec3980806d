"""Odd values, requirements and code, for the fuzzer."""

from __future__ import annotations

from typing import Any

# What JSON and TOML cannot be made to write from Python goes in as text, in the place of these.
RAW = {
    "@digits@": "9" * 5000,
    "@deep@": "[" * 3000 + "]" * 3000,
    "@wide@": "[" * 200 + "]" * 200,
    "@nan@": "nan",
    "@hex@": "0x" + "f" * 4000,
}

TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\ud800",
        "\udce9",
        "a" * 20_000,
        "..",
        "../outside",
        "/",
        "~",
        "[",
        "[]]",
        "**/" * 50,
        "a\nb",
        "\r",
    ),
    *(
        "\N{ROCKET}",
        "e\N{COMBINING ACUTE ACCENT}",
        "\N{RIGHT-TO-LEFT OVERRIDE}",
        "%s{}",
        "3.11",
        "nan",
        "-r x",
        "--",
        "\\",
    ),
)
VALUES: tuple[Any, ...] = (
    *TEXTS,
    *RAW,
    None,
    True,
    -1,
    0,
    1e308,
    1.5,
    [],
    {},
    [[]],
    [None],
    {"": {}},
    {"a": {"b": []}},
)

REQUIREMENTS = (
    *(
        "numpy",
        "numpy>=1,<2",
        "a; " + "(" * 500 + "python_version>'3'" + ")" * 500,
        "a[" + "b," * 300 + "c]",
        "a==" + "1." * 3000,
    ),
    *(
        "a; extra == 'x'",
        "a; python_version ~= 'x'",
        "a @ https://u:p@h/a.whl",
        "a @ file:///\0",
        "-e .",
        "-e ./sub[x]",
        "./sub",
    ),
    *(
        "-r requirements.txt",
        "-c",
        "-r \0",
        "--hash=sha256:0",
        "${HOME}",
        "a>=1!999999999999999999",
        "=" * 50,
        "a===\ud800",
    ),
    *(
        "git+https://h/r.git@x#egg=a",
        "a;" * 200,
        "\N{LATIN SMALL LETTER DOTLESS I}==1",
        "a<0.0.0",
        "a==1.*,<1",
        "/",
        "~",
        "a\\",
    ),
)

CODE = (
    *(
        "import numpy",
        "from . import x",
        "import a.b as c, d",
        "import " + "a." * 2000 + "b",
        "x = " + " + ".join("1" * 6000),
    ),
    *("import os\nx = " + " + ".join(["'a'"] * 500), "import sys; sys.path.append(" + " + ".join(["'a'"] * 900) + ")"),
    *(
        "(" * 300 + ")" * 300,
        "-" * 3000 + "1",
        "import a\n" + "if x:\n".join(" " * n for n in range(120)),
        "x = '\\d'\nimport a",
    ),
    *(
        "import a\0",
        "\ud800",
        "'''",
        "f'{",
        "%%bash\npip install " + "a " * 3000,
        "!pip install 'a",
        "%pip install -r req.txt",
    ),
    *(
        "%pip install -r ../../x",
        "%pip install -r \udce9",
        "%run \0.py",
        "%run ../a.py",
        "%cd \0\nimport helper",
        "%%",
        "%",
        "!",
    ),
    *(
        "%%time -n\nimport b",
        "?",
        "import a?",
        "a = !pip install b",
        "import sys\nsys.path.insert(0, '\0')\nimport helper",
        "\x0cimport a",
    ),
    *(
        "if " + "not " * 3000 + "x:\n import a",
        "if " + "(a or " * 150 + "b" + ")" * 150 + ":\n import c",
        "try:\n" * 30,
        "@" * 2000,
    ),
    *(
        "import helper\n" * 500,
        "lambda: " * 500 + "__import__('a')",
        "import_module(" + "a(" * 150 + ")" * 151,
        "def f(): import a\n" * 50,
    ),
    *(
        "os.environ['A'] = 'b'\nimport a",
        "get_ipython().system('pip install ' + x)",
        "subprocess.run(" + "[" * 100 + "]" * 100 + ")",
    ),
)
