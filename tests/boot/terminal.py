#!/usr/bin/env python3
"""The interactive shell in a real terminal (tmux): job control, vi, top, and leaving it as it was found."""
import os, re, shlex, shutil, subprocess, time
import guest
from guest import Failures, Guest, skip

if not shutil.which("tmux"):
    skip("no tmux")
PATIENCE = 60  # seconds for anything to appear

failures = Failures()
debian = Guest()
socket = os.path.join(guest.work, "tmux")
environment = dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8")
environment.pop("TMUX", None)


def tmux(*words):
    return subprocess.run(["tmux", "-S", socket, "-f", "/dev/null", *words], stdout=subprocess.PIPE, text=True,
                          env=environment).stdout


def keys(*words):
    tmux("send-keys", "-t", "0", *words)


def screen():
    return tmux("capture-pane", "-p", "-t", "0")


def wait_for(pattern, what):
    """Until the screen shows it. A regular expression over all its lines."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if re.search(pattern, screen(), re.M):
            return True
        time.sleep(0.1)
    failures.add(f"{what}: no /{pattern}/ on the screen:\n{screen()}")
    return False


count = 0


def prompt():
    """Waits until the guest's shell reads commands, on an empty screen."""
    global count
    count += 1
    keys("clear; echo ready$((%d+0))." % count, "Enter")
    return wait_for(rf"^ready{count}\.$", "the guest's prompt")


def start(command, what):
    """A shell in another guest: on an empty screen, where the last one's prompt is not to be seen any more."""
    keys("clear", "Enter")
    if not wait_for(r"\A\s*host\$\s*\Z", "an empty screen"):
        return False
    keys(command, "Enter")
    return wait_for(r"#$", what)


def script():
    work = guest.work
    arclight = shlex.join(debian.arclight(options=["--shell"]))
    keys(f"stty -a > {work}/before; {arclight}; echo status $?.; stty -a > {work}/after", "Enter")
    if not wait_for(r"#$", "a shell"):
        return
    prompt()
    keys("stty size; tty; echo $TERM", "Enter")
    wait_for(r"^30 100$", "the terminal's size")

    # Jobs in the background, stopped, in the foreground again, interrupted.
    prompt()
    keys("sleep 1000 &", "Enter")
    prompt()
    keys("jobs", "Enter")
    wait_for(r"Running +sleep 1000", "a job in the background")
    keys("fg", "Enter")
    wait_for(r"^sleep 1000$", "fg")
    keys("C-z")
    wait_for(r"Stopped +sleep 1000", "Ctrl-Z")
    prompt()
    keys("bg", "Enter")
    prompt()
    keys("kill %1; wait; jobs", "Enter")
    prompt()
    keys("sh -c 'echo started; exec cat'", "Enter")
    wait_for(r"^started$", "cat")
    keys("C-c")
    wait_for(r"^\^C$\s+.*# *$", "a prompt after Ctrl-C")  # a line typed before cat has met its end is cat's
    keys("echo interrupted=$?", "Enter")
    wait_for(r"^interrupted=130$", "Ctrl-C")
    keys("sh -c 'echo reading; exec cat > /tmp/typed'", "Enter")
    wait_for(r"^reading$", "cat to a file")
    keys("a line", "Enter", "C-d")
    prompt()
    keys("wc -c /tmp/typed", "Enter")
    wait_for(r"^7 /tmp/typed$", "Ctrl-D")

    # vi draws its screen, takes text and commands.
    prompt()
    keys("vi /tmp/text", "Enter")
    if wait_for(r"/tmp/text.*1/1", "vi"):
        keys("i", "first line", "Enter", "second line")
        wait_for(r"^I /tmp/text", "vi's insert mode")
        keys("Escape")
        wait_for(r"^- /tmp/text \[Modified\]", "vi's command mode")  # else the next key would make it a function key
        keys(":1s/first/changed/", "Enter")
        keys(":wq", "Enter")
        prompt()
        keys("cat /tmp/text; wc -l /tmp/text", "Enter")
        wait_for(r"^changed line\nsecond line\n2 /tmp/text$", "the file that vi wrote")
    prompt()
    keys("top -d 1", "Enter")
    if wait_for(r"^Mem: .*used", "top") and wait_for(r"PID +PPID +USER", "top's table"):
        time.sleep(2)
    keys("q")
    prompt()

    # The help of the escape keys, and out.
    keys("C-a", "h")
    wait_for(r"Ctrl-A X", "the escape keys' help")
    keys("C-a", "x")
    if not wait_for(r"status \d+\.$", "Ctrl-A X"):
        return
    keys("echo back", "Enter")
    wait_for(r"^back$", "the host's shell")
    with open(f"{work}/before") as a, open(f"{work}/after") as b:
        before, after = a.read(), b.read()
        failures.check(before == after and "icanon" in before, f"the terminal was left changed:\n{before}\n{after}")

    # Ended from outside: the terminal is restored as well.
    if start(f"{arclight}; echo status $?.; stty -a > {work}/after", "a second shell"):
        for pid in children():
            os.kill(pid, 15)
        wait_for(r"status 143\.$", "SIGTERM")
        keys("echo back", "Enter")
        wait_for(r"^back$", "the host's shell after SIGTERM")
        with open(f"{work}/after") as f:
            failures.check(f.read() == before, "SIGTERM left the terminal changed")

    # exit powers the machine off.
    if start(f"{arclight}; echo status $?.", "a third shell"):
        keys("exit 3", "Enter")
        wait_for(r"status 3\.$", "exit")

    # The terminal itself closes: nothing is left behind.
    if start(f"{arclight}; echo status $?.", "a fourth shell"):
        left = children()
        failures.check(left, "no process found")
        tmux("kill-server")
        end = time.monotonic() + 20
        while time.monotonic() < end and any(os.path.exists(f"/proc/{pid}/exe") for pid in left):
            time.sleep(0.1)
        left = [pid for pid in left if os.path.exists(f"/proc/{pid}/exe")]
        failures.check(not left, "the program outlives its terminal")


def children():
    """Our programs: those that were given this guest."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if words[0] == guest.ARCLIGHT.encode() and debian.initrd.encode() in words:
            found.append(int(pid))
    return found


tmux("new-session", "-d", "-x", "100", "-y", "30", "env PS1='host$ ' bash --norc --noprofile")
try:
    wait_for(r"^host\$", "tmux")
    script()
finally:
    for pid in children():
        os.kill(pid, 9)
    subprocess.run(["tmux", "-S", socket, "kill-server"], stderr=subprocess.DEVNULL, env=environment)
failures.end()
