"""What build/compile_commands.json says about the C files of this repository: for the checkers."""
import json
import os
import pathlib
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

DROP_WITH_NEXT = {"-o", "-MF", "-MQ"}
DROP = {"-c", "-MD", "-pipe"}


def commands(build, keep=lambda path: True):
    """{flags: [file...]}: the files under src/, tests/ and bench/ by the flags they are built with."""
    entries = {}
    for e in json.load(open(pathlib.Path(build) / "compile_commands.json")):
        path = os.path.relpath(os.path.join(e["directory"], e["file"]))
        if path.startswith(("src/", "tests/", "bench/")) and keep(path):
            entries[path] = e
    out = {}
    for path, e in entries.items():
        words, flags = shlex.split(e["command"]), []
        while not words[0].startswith("-"): # the compiler, and ccache before it
            words.pop(0)
        while words:
            w = words.pop(0)
            if w in DROP_WITH_NEXT:
                words.pop(0)
            elif w not in DROP and w != e["file"]:
                # Paths are those of the folder that ninja runs in.
                flags.append("-I" + os.path.join(e["directory"], w[2:]) if w[:2] == "-I" else w)
        out.setdefault(tuple(flags), []).append(path)
    return out


def chunks(table, size):
    """[(flags, files)] of at most `size` files each."""
    return [(flags, files[i:i + size]) for flags, files in sorted(table.items())
            for i in range(0, len(files), size)]


def run_all(argvs):
    """Runs them, as many at once as there are processors; prints what failed; exits 1 if any did."""
    def one(argv):
        r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return r.returncode, r.stdout
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(one, argvs))
    for code, text in results:
        if code:
            print(text)
    sys.exit(any(code for code, _ in results))
