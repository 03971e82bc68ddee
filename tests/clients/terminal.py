#!/usr/bin/env python3
"""kubectl in a terminal: exec -it and run -it say what the command says, and nothing else.

    tests/clients/terminal.py            with Debian's kubectl 1.20 (SPDY)
    tests/clients/terminal.py current    with $KUBECTL_CURRENT, over WebSocket and over SPDY
"""
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

import tour
from tour import pod, step
from machine import Failed, check, same  # noqa: E402  (found by tour)

ROWS, COLUMNS = 45, 123
TIMES = int(os.environ.get("TERMINAL_TIMES", "5"))  # what depends on who comes first is tried often
NOISE = re.compile(rb"(?m)^[EWI]\d{4} |falling back|\x00|[Uu]nhandled")


def talk(p, argv, answers=(), env=None, patience=30):
    """kubectl in a terminal of its own. answers: (what to wait for, what to type). -> text, code"""
    argv = [p.m.kubectl_path, "-n", p.ns, *argv]
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.execve(argv[0], argv, dict(p.m.env, TERM="xterm", **(env or {})))
    got, seen, answers = b"", 0, list(answers)
    end = time.monotonic() + patience
    while True:
        while answers and (match := re.compile(answers[0][0]).search(got, seen)):
            seen = match.end()
            os.write(fd, answers.pop(0)[1])
        ready, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
        if not ready:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.close(fd)
            raise Failed(f"{' '.join(argv)}: still running after {patience} s; said {got!r}")
        try:
            more = os.read(fd, 65536)
        except OSError:  # how Linux says that nobody has the other end open
            more = b""
        if not more:
            break
        got += more
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    check(not NOISE.search(got), f"{' '.join(argv)} said more than the command: {got!r}")
    return got, code


def transports(p):
    """Each way in which this kubectl can stream, as an environment."""
    return [{}, {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false"}] if p.new else [{}]


SHELL = [(rb"# ", b"stty size\r"), (rb"\d+ \d+[^#]*# ", b"exit\r")]


@step
def short_commands(p):
    """exec -it of a command that is over at once: all of its output, and its exit code"""
    p("create", "-f", "-", stdin=pod("p", ["sleep", "1000"]))
    p.m.wait("pod/p", "condition=Ready", 30, "-n", p.ns)
    for env in transports(p):
        for _ in range(2 * TIMES):
            same(talk(p, ["exec", "-it", "p", "--", "echo", "a"], env=env), (b"a\r\n", 0), "the output")
        for _ in range(TIMES):
            got, code = talk(p, ["exec", "-it", "p", "--", "sh", "-c", "echo a; echo b >&2; exit 3"], env=env)
            same((got[:6], code), (b"a\r\nb\r\n", 3), "both outputs of a terminal")


@step
def shells(p):
    """exec -it of a shell: it knows the size, takes what is typed, and its exit code comes back"""
    p("create", "-f", "-", stdin=pod("p", ["sleep", "1000"]))
    p.m.wait("pod/p", "condition=Ready", 30, "-n", p.ns)
    for env in transports(p):
        for _ in range(TIMES):
            got, code = talk(p, ["exec", "-it", "p", "--", "sh"], SHELL, env)
            check(b"stty size\r\n%d %d\r\n" % (ROWS, COLUMNS) in got and code == 0, repr(got), code)
            got = talk(p, ["exec", "-it", "p", "--", "sh", "-c", "echo go; cat"], [(b"go\r\n", b"x\r"), (b"x\r\nx\r\n", b"\4")], env)
            same(got, (b"go\r\nx\r\nx\r\n", 0), "cat")


@step
def running(p):
    """run -it --rm of a shell, and of a command that is over before anybody can attach"""
    for n, env in enumerate(transports(p)):
        for i in range(TIMES):
            name = f"x{n}{i}"
            run = ["run", name, "-it", "--rm", "--restart=Never", "--image=busybox", "--"]
            got, code = talk(p, [*run, "sh"], SHELL, env)
            check(b"\r\n%d %d\r\n" % (ROWS, COLUMNS) in got and code == 0, repr(got), code)
            run[1] = name = f"y{n}{i}"
            got, code = talk(p, [*run, "echo", "hello"], env=env)
            check(b"hello\r\n" in got and f'pod "{name}" deleted'.encode() in got and code == 0, repr(got), code)


@step
def piping(p):
    """run -i --rm with input from a pipe: everything comes back, and so does the exit code"""
    for n, env in enumerate(transports(p)):
        for i in range(TIMES):
            r = p("run", f"z{n}{i}", "-i", "--rm", "--restart=Never", "--image=busybox", "--", "sh", "-c", "cat; echo end; exit 3",
                  stdin="a\nb\n", code=3, env=dict(p.m.env, **env))
            check(r.out.startswith("a\nb\nend\n") and not NOISE.search(r.err.encode()), r)


tour.main(tour.walk)
