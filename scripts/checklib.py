# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
"""What the scripts/check-* share: rules, files, sources, KTAP.

A rule is a function that returns its findings as lines "file:line: what"; none
is good. It may raise Skip(reason) where a tool is missing. The script that
imports this ends with main(__doc__), which gives it a command line:

    scripts/check-x            run all rules
    scripts/check-x spell abi  run the rules whose names contain one of these
"""

import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(TOP)

SHOWN = 40  # findings of a rule that are printed

rules = []


class Skip(Exception):
    """This rule cannot be checked here."""


def rule(name):
    """Register a function as the rule of this name."""
    def add(f):
        rules.append((name, f))
        return f
    return add


def run(*cmd, stdin=None, cwd=None):
    """Run a program. Return: its exit status and all that it printed."""
    p = subprocess.run(cmd, input=stdin, cwd=cwd, text=True, errors="replace",
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return p.returncode, p.stdout


def git(*words):
    """Run git, also where the tree belongs to somebody else."""
    return run("git", "-c", f"safe.directory={TOP}", *words)


def files(*endings):
    """Every file of the project, whether git knows it yet or not."""
    status, out = git("ls-files", "-co", "--exclude-standard")
    names = set(out.splitlines())
    if status:  # the sources without their history
        names = {os.path.relpath(os.path.join(d, f)) for d, _, found in os.walk(".")
                 for f in found if not d.startswith(("./build", "./.git/"))}
    # Traces are data: their format has no room for a licence line.
    names = {f for f in names if not f.startswith("tests/bench/weights/")}
    return sorted(f for f in names
                  if os.path.isfile(f) and (not endings or f.endswith(endings)))


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def is_binary(path):
    with open(path, "rb") as f:
        return b"\0" in f.read(4096)


def texts():
    """Every file that people read, with its text."""
    return {f: read(f) for f in files() if not is_binary(f)}


def meta(key):
    m = re.search(rf"^{key}: *(.*)$", read("META"), re.M)
    if not m:
        sys.exit(f"META has no {key}")
    return m.group(1)


def without_comments(text):
    """C without comments and with the same line numbers."""
    return re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\])*\"",
                  lambda m: m.group() if m.group()[0] == '"'
                  else re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Prototype:
    """A function as C says it: what it returns, its name, its parameters."""

    def __init__(self, path, line, returns, name, parameters):
        self.path, self.line = path, line
        self.returns, self.name, self.parameters = returns, name, parameters

    def __str__(self):
        return squeeze(f"{self.returns} {self.name}({self.parameters});")

    def names(self):
        """The names of the parameters."""
        out = []
        for p in split_parameters(self.parameters):
            m = re.search(r"\(\*\s*(\w+)\)", p) or re.search(r"(\w+)\s*(?:\[\w*\])*$", p)
            if p not in ("void", "...") and m:
                out.append(m.group(1))
        return out


def split_parameters(text):
    depth, parts = 0, [""]
    for c in text:
        depth += (c in "([") - (c in ")]")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return [p.strip() for p in parts if p.strip()]


def squeeze(text):
    """One blank where there are several, none where C needs none."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\s*\*\s*", " *", text)
    text = re.sub(r"\* \*", "**", text)
    return re.sub(r"\s*([(),;])\s*", r"\1", text).replace(",", ", ").replace("( *", "(*")


API_MARKS = re.compile(r"\b(TMK_API|TMK_MUST_CHECK|TMK__PRINTF)\b(?:\([^)]*\))?")


def public_functions():
    """What include/tmk declares TMK_API, as Prototypes."""
    out = []
    for path in files(".h"):
        if not path.startswith("include/tmk/"):
            continue
        code = without_comments(read(path))
        for m in re.finditer(r"^TMK_API\b([^;{]*?)\b(tmk_\w+)\s*\(([^;{]*)\)\s*;", code, re.M):
            returns = API_MARKS.sub("", m.group(1))
            out.append(Prototype(path, line_of(code, m.start()), squeeze(returns),
                                 m.group(2), squeeze(m.group(3))))
    return out


def public_objects():
    """The names of what include/tmk declares TMK_API and is no function."""
    return [name for path in files(".h") if path.startswith("include/tmk/")
            for name in re.findall(r"^TMK_API __thread [^;({]*?\b(tmk_\w+)\s*(?:__attribute__|;)",
                                   without_comments(read(path)), re.M)]


def compile_c(source, *flags, compiler="gcc", language="c", out=None):
    """Compile a text. Return: what the compiler said, "" if it was content."""
    with tempfile.TemporaryDirectory() as tmp:
        status, said = run(compiler, "-x", language, "-c", "-o", out or os.path.join(tmp, "o"),
                           *flags, "-", stdin=source)
    return said if status else ""


def main(doc):
    """Run the rules and print KTAP."""
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print(doc.strip())
        return
    wanted = [r for r in rules
              if not sys.argv[1:] or any(word in r[0] for word in sys.argv[1:])]
    if not wanted:
        sys.exit("no such rule; there are: " + ", ".join(name for name, _ in rules))
    print(f"KTAP version 1\n1..{len(wanted)}", flush=True)
    failed = 0
    for nr, (name, check) in enumerate(wanted, 1):
        try:
            findings, skip = check(), ""
        except Skip as e:
            findings, skip = [], f" # SKIP {e}"
        for line in findings[:SHOWN]:
            print(f"# {line}")
        if len(findings) > SHOWN:
            print(f"# and {len(findings) - SHOWN} more")
        print(f"{'not ' if findings else ''}ok {nr} {name}{skip}", flush=True)
        failed += bool(findings)
    sys.exit(1 if failed else 0)
