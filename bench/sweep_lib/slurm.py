"""Runs cells as a Slurm array job. Each cell writes one file, moved into place when it is whole; so a node that dies costs
its unfinished cells only, and those are submitted again. The directory of --out must be seen by all nodes under its path.
"""
import json, os, shutil, subprocess, sys, time
from .executor import clock_text
from .state import parse_lines

ATTEMPTS = 3


class Slurm:
    def __init__(self, settings, variants, guest, spec, state, progress, out, options, say):
        self.settings, self.variants, self.guest, self.spec = settings, variants, guest, spec
        self.state, self.progress, self.say, self.options = state, progress, say, options.split()
        self.jobs = os.path.join(out, "jobs")
        for tool in ("sbatch", "squeue", "scancel"):
            if not shutil.which(tool):
                raise SystemExit(f"sweep: --executor slurm needs {tool} (Debian: package slurm-client)")
        os.makedirs(self.jobs, exist_ok=True)
        self.script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "main.py")
        self.waves, self.job = 0, None

    def run(self, cells, later, out_of_time, after_cell):
        todo = []
        for cell in cells:
            runs = [(v, [n for n in names if n not in self.state.done(v, cell["rep"])]) for v, names in cell["runs"]]
            if any(names for _, names in runs):
                todo.append({"rep": cell["rep"], "runs": [r for r in runs if r[1]]})
            else:
                after_cell(cell)
        if not todo:
            return True
        if out_of_time():
            return False
        self.waves += 1
        stem = os.path.join(self.jobs, f"wave-{os.getpid()}-{self.waves}")
        with open(stem + ".json", "w") as f:
            json.dump({"settings": vars(self.settings), "variants": [vars(v) for v in self.variants], "guest": self.guest,
                       "spec": self.spec, "cells": todo}, f)
        waiting = set(range(len(todo)))
        try:
            for attempt in range(ATTEMPTS):
                if attempt:
                    self.say(f"{len(waiting)} of {len(todo)} jobs did not finish: submitting them again (attempt {attempt + 1})")
                self.submit(stem, sorted(waiting))
                self.wait(stem, todo, waiting, after_cell)
                if not waiting:
                    return True
        except KeyboardInterrupt:
            subprocess.run(["scancel", self.job], check=False)
            self.gather(stem, todo, waiting, after_cell)
            raise
        for number in waiting:
            for variant, names in todo[number]["runs"]:
                for name in names:
                    record = {"type": "failure", "program": name, "variant": variant, "rep": todo[number]["rep"],
                              "why": f"its Slurm job failed {ATTEMPTS} times (see {stem}-{number}.log)"}
                    self.state.append(record)
                    self.progress(record, 0)
        return True

    def submit(self, stem, numbers):
        command = f"exec {sys.executable} {self.script} run-cell {stem}.json $SLURM_ARRAY_TASK_ID {stem}-$SLURM_ARRAY_TASK_ID.out"
        # --no-requeue: a lost job is noticed and submitted again here, once.
        out = subprocess.run(["sbatch", "--parsable", "--job-name=arclight-sweep", f"--array={','.join(map(str, numbers))}", "--no-requeue",
                              f"--output={stem}-%a.log", *self.options, f"--wrap={command}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if out.returncode != 0:
            raise SystemExit(f"sweep: sbatch failed: {out.stderr.strip()}")
        self.job = out.stdout.strip().split(";")[0]

    def wait(self, stem, todo, waiting, after_cell):
        """Until every waiting cell is gathered or the job has left the queue."""
        began, total = time.monotonic(), len(waiting)
        while waiting:
            queue = subprocess.run(["squeue", "-h", "-r", "-j", self.job, "-t", "PD,R,CF,CG,S"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self.gather(stem, todo, waiting, after_cell)
            # An unknown job is one that ended and was forgotten; an unreachable controller is worth waiting for.
            gone = queue.returncode == 0 and not queue.stdout.strip()
            if queue.returncode != 0:
                ping = subprocess.run(["scontrol", "ping"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                gone = "UP" in ping.stdout
            if gone:
                time.sleep(1)  # files of the last cells may still be on their way through a shared file system
                self.gather(stem, todo, waiting, after_cell)
                return
            if self.progress.tty:
                finished = total - len(waiting)
                left = (time.monotonic() - began) / finished * len(waiting) if finished else 0
                print(f"\r\x1b[K{finished} of {total} jobs done, about {clock_text(left)} left", end="", file=sys.stderr, flush=True)
            time.sleep(1)

    def gather(self, stem, todo, waiting, after_cell):
        for number in sorted(waiting):
            path = f"{stem}-{number}.out"
            if not os.path.exists(path):
                continue
            for record in parse_lines(path):
                # A Ctrl-C may have come in the middle of this: what was taken already is not taken twice.
                if record["type"] != "end" and record not in self.state.records:
                    self.state.append(record)
                    self.progress(record, 0)
            waiting.discard(number)
            after_cell(todo[number])
