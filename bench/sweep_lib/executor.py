"""Runs cells on this machine, one after the other."""
import time
from . import runner
from .plan import TimeLeft


def clock_text(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def run_cell(cell, variants, guest, settings, spec, done, emit):
    """Runs what is not done yet; emit(kind, **fields) gets every record, complete."""
    by_name = {v.name: v for v in variants}
    for variant, names in cell["runs"]:
        left = [n for n in names if n not in done(variant, cell["rep"])]
        if left:
            runner.run_programs(by_name[variant], guest, settings, left, settings.inputs, spec,
                                lambda kind, v=variant, **fields: emit({"type": kind, "variant": v, "rep": cell["rep"], **fields}))


class Local:
    def __init__(self, settings, variants, guest, spec, state, progress):
        self.settings, self.variants, self.guest, self.spec = settings, variants, guest, spec
        self.state, self.progress = state, progress

    def run(self, cells, later, out_of_time, after_cell):
        """`later`: what is still to come after these, for the time left."""
        for number, cell in enumerate(cells):
            todo = [(v, [n for n in names if n not in self.state.done(v, cell["rep"])]) for v, names in cell["runs"]]
            if not any(names for _, names in todo):
                after_cell(cell)
                continue
            if out_of_time():
                return False
            ahead = todo + [run for c in cells[number + 1:] for run in c["runs"]] + later

            def emit(record):
                self.state.append(record)
                left = TimeLeft(self.state.samples()).seconds(self.remaining(ahead, record["rep"]))
                self.progress(record, left)

            run_cell(cell, self.variants, self.guest, self.settings, self.spec, self.state.done, emit)
            after_cell(cell)
        return True

    def remaining(self, ahead, rep):
        return [(v, [n for n in names if n not in self.state.done(v, rep)]) for v, names in ahead]
