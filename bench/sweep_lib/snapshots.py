"""Snapshots of a guest at its shell's prompt, from which many runs go on: on a rig a boot would be most of the time."""
import os, subprocess, sys


def at_prompt(arclight, arguments, work):
    """Of the default guest's shell, on the process world; `arguments` are those of 'arclight run'. The snapshot's path, in `work`."""
    control, path = os.path.join(work, "control"), os.path.join(work, "snapshot")
    machine = subprocess.Popen([arclight, "run", *arguments, "--accel", "process", "--jit", "tier1", "--control", control],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for wanted, typed in (b"/root # ", b"echo rea''dy\n"), (b"ready", b""):
        said = b""
        while wanted not in said:
            piece = machine.stdout.read1()
            if not piece:
                sys.exit(f"the guest has no prompt: {said.decode(errors='replace')}")
            said += piece
        machine.stdin.write(typed)
        machine.stdin.flush()
    subprocess.run([arclight, "snapshot", "save", "--control", control, "--stop", path], check=True)
    machine.communicate()
    return path


def line(command):
    """What is typed there. The shell looks for an answer of its terminal in front of the first line."""
    return f"\n\n{command}; poweroff -f\n"
