"""The command line of ./bench/sweep."""
import argparse, hashlib, json, os, signal, subprocess, sys, tempfile, time
from types import SimpleNamespace
from . import compare, counts, machine, page, plan, programs, results, runner, spec, table, variants
from .executor import Local, clock_text, run_cell
from .slurm import Slurm
from .state import State

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
USAGE = """./bench/sweep [--quick] [OPTIONS]          run, show the table, write result.json and report.html
       ./bench/sweep --simbench                  SimBench's categories in a bare-metal guest instead
       ./bench/sweep compare OLD.json NEW.json   what became slower beyond noise (exit status 1 if anything did)
       ./bench/sweep report RESULT.json [FILE]   show a result again, and make its page (FILE.html), chart (.svg) or table (.md)"""


class UserError(Exception):
    pass


def say(text):
    print(f"sweep: {text}", file=sys.stderr, flush=True)


def parser():
    p = argparse.ArgumentParser(prog="./bench/sweep", usage=USAGE, description=__doc__)
    p.add_argument("--quick", action="store_true", help="under 10 minutes: QEMU's known fastest CPU model per program, 2 repetitions")
    p.add_argument("--only", default="", metavar="A,B", help="these programs only")
    p.add_argument("--list", action="store_true", help="list the programs and leave")
    p.add_argument("--reps", type=int, help="repetitions [quick 2, full 5]")
    p.add_argument("--inputs", choices=["short", "long"], default="short", help="1-3 s or at least 10 s under QEMU [short]")
    p.add_argument("--cpus", help="QEMU CPU models separated by semicolons, or all [quick: known fastest; full: all]")
    p.add_argument("--variants", default="", metavar="WORDS", help="only Arclight combinations whose name has one of these words, e.g. tier1,kvm")
    p.add_argument("--no-qemu", dest="use_qemu", action="store_false", help="Arclight (and native) alone")
    p.add_argument("--no-native", dest="native", action="store_false", help="no native x86-64 runs")
    p.add_argument("--arclight", default=os.path.join(TOP, "build/release/arclight"), help="the binary [build/release/arclight]")
    p.add_argument("--arclight-options", default="", help="further options of 'arclight run'")
    p.add_argument("--qemu", help="the QEMU to compare with [the newest on this host]")
    p.add_argument("--qemu-options", default="")
    p.add_argument("--memory", type=int, default=1024, help="guest memory in MiB [1024]")
    p.add_argument("--limit", type=float, help="seconds one program may take [60; 600 for long inputs and SPEC]")
    p.add_argument("--batch", type=int, default=10, help="programs in one boot [10]")
    p.add_argument("--budget", type=float, help="begin no further repetition's job after this number of minutes [quick 8.5, full 110]")
    p.add_argument("--metric", choices=["cpu", "wall"], default="cpu", help="seconds that the ratios are of [cpu]")
    p.add_argument("--out", help="directory for state, result and page [build/sweep/quick or full]")
    p.add_argument("--fresh", action="store_true", help="do not resume an interrupted sweep")
    p.add_argument("--count", action="store_true", help="count guest instructions (for MIPS) even if that takes a while")
    p.add_argument("--guest", help="a directory that bench/programs/prepare made, instead of the cache's")
    p.add_argument("--simbench", nargs="?", const="", metavar="ELF", help="SimBench's categories, or 'chase': a pointer chase over 256 MiB [ELF: beside the Arclight binary, or build/release]")
    p.add_argument("--fastmem", "--windows", action="store_true", help="the KVM world with --fastmem on too, whatever a fault costs on this host")
    p.add_argument("--second-run", action="store_true", help="each Arclight combination once more, with the translations that an unmeasured run of the same programs has kept on disk")
    p.add_argument("--spec", metavar="DIR", help="a SPEC CPU2006 or CPU2017 installation with arm64 binaries and run directories")
    p.add_argument("--spec-size", choices=["test", "train", "ref"], default="ref", help="which of its inputs [ref]")
    p.add_argument("--executor", choices=["local", "slurm"], default="local", help="where the jobs run [local]")
    p.add_argument("--slurm-options", default="", help="further options of sbatch, e.g. '--partition=bench --exclusive'")
    return p


def settings_of(o):
    limit = o.limit or (600 if o.inputs == "long" or o.spec else 60)
    return SimpleNamespace(arclight=os.path.abspath(o.arclight), arclight_options=o.arclight_options.split(), qemu=o.qemu or (variants.newest_qemu() if o.use_qemu else "qemu-system-aarch64"),
                           qemu_options=o.qemu_options.split(), memory=o.memory, limit=limit, bare=simbench_program(o), inputs=o.inputs, native=o.native,
                           cpus=o.cpus or "all", fastmem=o.fastmem, kept=None)


def prepare(arguments):
    out = subprocess.run([os.path.join(TOP, "bench/programs/prepare"), *arguments], stdout=subprocess.PIPE, text=True)
    return out.stdout.strip().splitlines()[-1] if out.returncode == 0 and out.stdout.strip() else None


def find_variants(o, settings):
    found, remarks = variants.discover_arclight(settings)
    words = [w for w in o.variants.split(",") if w]
    if words:
        found = [v for v in found if any(w in v.name for w in words)]
    groups = [(found, remarks)]
    if o.use_qemu:
        groups.append(variants.discover_qemu(settings))
    if not o.spec and not o.simbench_given:
        groups.append(variants.discover_native(settings))
    all_variants = [v for g, _ in groups for v in g]
    for _, lines in groups:
        for line in lines:
            say(line)
    return all_variants


class Progress:
    """Rows as programs get through a repetition, and one line that says how far it is."""

    def __init__(self):
        self.tty, self.began = sys.stderr.isatty(), time.monotonic()

    def __call__(self, record, left):
        if record["type"] == "failure":
            self.clear()
            say(f"{record['program']}: {record['variant']}: {record['why']}")
        if record["type"] == "stats" or record["program"] == "boot":
            return
        text = f"{record['variant']:24} {record['program']:11} " + (f"{record['cpu']:7.2f} s" if "cpu" in record else "failed   ")
        text += f"   repetition {record['rep'] + 1}   {clock_text(time.monotonic() - self.began)} gone, about {clock_text(left)} left"
        if self.tty:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self):
        if self.tty:
            print("\r\x1b[K", end="", file=sys.stderr)


def warm_up(all_variants, guest, settings, spec_disk, state):
    """One boot of each that is thrown away: it brings files into the host's cache and shows who cannot run at all."""
    usable = []
    for v in all_variants:
        if v.kind == "native":
            usable.append(v)
            continue
        trouble = []

        def emit(kind, **fields):
            if kind == "failure":
                trouble.append(fields["why"])

        runner.run_boot(v, guest, settings, [], settings.inputs, spec_disk, emit)
        if trouble:
            say(f"{v.name}: {trouble[0]}: left out")
            state.append({"type": "failure", "program": "boot", "variant": v.name, "rep": 0, "why": trouble[0] + ": left out"})
        else:
            usable.append(v)
    return usable


def beside(out, what):
    """What bench/shadow, bench/overhead or bench/windows left beside the sweep's directories, or None."""
    try:
        with open(os.path.join(os.path.dirname(out), what + ".json")) as f:
            found = json.load(f)
        return found if found.get("kind") == f"arclight-{what}" else None
    except (OSError, ValueError, AttributeError):
        return None


def write_output(result, out):
    quiet = False
    path, html = os.path.join(out, "result.json"), os.path.join(out, "report.html")
    for target, write in ((path, results.save), (html, page.save)):
        try:
            write(result, target + ".new")
            os.replace(target + ".new", target)
        except OSError as error:
            say(f"cannot write {target}: {error.strerror}")
            quiet = True
    if not quiet:
        print(f"\nresult: {path}\npage:   {html}")


def interrupted(*_):
    raise KeyboardInterrupt


def sweep(o):
    signal.signal(signal.SIGTERM, interrupted)  # so that no emulator is left behind
    settings = settings_of(o)
    try:
        chosen = programs.select(o.only) if not o.spec and not o.simbench_given else []
    except ValueError as error:
        raise UserError(str(error)) from None
    out = os.path.abspath(o.out or os.path.join(TOP, "build/sweep", (o.simbench if o.simbench == "chase" else "simbench") if o.simbench_given else "spec" if o.spec else "quick" if o.quick else "full"))
    try:
        os.makedirs(out, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot create {out}: {error.strerror}") from None
    settings.kept = os.path.join(out, "kept") if o.second_run else None
    reps = o.reps or (2 if o.quick else 5)
    budget = 60 * (o.budget or (8.5 if o.quick else 110))
    began = time.monotonic()
    found = find_variants(o, settings)
    if not any(v.kind != "native" for v in found):
        raise UserError("nothing to run: neither Arclight nor QEMU is here")
    guest = o.guest or (prepare([]) if not o.simbench_given else os.path.dirname(settings.bare))
    if guest is None:
        raise UserError("the guest could not be prepared (see above)")
    if not o.simbench_given and not os.path.exists(os.path.join(guest, "stamp")):
        raise UserError(f"{guest} holds no prepared guest")
    if any(v.kind == "native" for v in found) and not o.guest and prepare(["--native"]) is None:
        say("the native programs could not be prepared: left out")
        found = [v for v in found if v.kind != "native"]
    load = workload(o, settings, chosen, guest, out)
    names, spec_disk = load.names, load.disk
    quick = o.quick and o.cpus is None
    if o.quick and not o.variants:
        # Of the virtual-machine world the quick form runs the highest tier only.
        last = max((n for n, v in enumerate(found) if v.labels.get("accel") == "kvm"), default=-1)
        found = [v for n, v in enumerate(found) if v.labels.get("accel") != "kvm" or n == last]
    if quick:
        used = {cpu for _, cpu in names}
        found = [v for v in found if v.kind != "qemu" or (v.labels["cpu"] in used and v.labels["kaslr"] and v.labels["thread"] == "single")]
    info = {"arclight": variants.arclight_version(settings) if any(v.kind == "arclight" for v in found) else "",
            "binary": file_sum(settings.arclight), "qemu": variants.qemu_version(settings) if o.use_qemu else None, "guest": load.stamp,
            "inputs": o.inputs, "memory": o.memory, "options": " ".join(settings.arclight_options + settings.qemu_options),
            "spec": f"{os.path.abspath(o.spec)} {o.spec_size}" if o.spec else "", "programs": [n for n, _ in names],
            "variants": [v.name for v in found]}
    state = State(os.path.join(out, "state.jsonl"), info, say, o.fresh)
    usable = warm_up(found, guest, settings, spec_disk, state)
    if not any(v.kind != "native" for v in usable):
        raise UserError("nothing could boot the guest")
    info |= {"machine": machine.describe(), "metric": o.metric, "about": load.about, "groups": load.groups, "command": "./bench/sweep " + " ".join(sys.argv[1:]),
             "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "qemu_command": next((" ".join(v.command("GUEST", settings, ["PROGRAMS"], o.inputs)) for v in usable if v.kind == "qemu"), ""),
             "arclight_command": next((" ".join(["arclight"] + v.command("GUEST", settings, ["PROGRAMS"], o.inputs, None)[1:]) for v in usable if v.kind == "arclight"), "")}
    progress = Progress()
    executor = Local(settings, usable, guest, spec_disk, state, progress) if o.executor == "local" else \
        Slurm(settings, usable, guest, spec_disk, state, progress, out, o.slurm_options, say)

    def current():
        info["instructions"] = {n: c for n, c in counts.cached(guest, o.inputs).items() if n in info["programs"]} if load.counted else {}
        return results.build(state, info)

    stopped, shown = None, [None]

    def after_cell(cell):
        progress.clear()
        if cell["rep"] != 0:
            return
        result = current()
        if result["headline"] and shown[0] != result["headline"]:
            print(table.header(result))  # the headline's column is the first
            shown[0] = result["headline"]
        if result["headline"]:
            for name in dict.fromkeys(n for _, ns in cell["runs"] for n in ns):
                print(table.row(result, name), flush=True)

    try:
        for rep in range(reps):
            cells = plan.cells(names, usable, rep, load.batch or o.batch, quick, state.samples(), o.metric)
            # Later repetitions are like the first, as far as one can tell.
            later = [(v, ns) for _ in range(rep + 1, reps) for c in cells for v, ns in c["runs"]]
            # The first repetition is always finished: a table without it would have holes.
            if not executor.run(cells, later, lambda: rep > 0 and time.monotonic() - began > budget, after_cell):
                stopped = f"the time of --budget is over: {rep} of {reps} repetitions are complete"
                break
            if rep == 0 and load.counted and any(v.kind == "qemu" for v in usable):
                count_instructions(o, settings, guest, state, began)
    except KeyboardInterrupt:
        progress.clear()
        state.save()
        say(f"stopped; nothing is lost: the same command goes on from {len(state.samples())} measurements")
        return 130
    info["stopped"] = stopped
    info.update((kind, beside(out, kind)) for kind in ("shadow", "overhead", "windows", "windows-svm"))
    state.append({"type": "finished"})
    result = current()
    progress.clear()
    if stopped:
        say(stopped)
    print("\n" + "\n".join(table.whole(result)))
    write_output(result, out)
    for f in result["failures"]:
        say(f"FAILED: {f['program']}: {f['variant']}: {f['why']}")
    return 1 if result["failures"] or state.unsaved else 0


def simbench_program(o):
    if not o.simbench_given:
        return None
    name = f"bench/simbench/{'chase' if o.simbench == 'chase' else 'simbench'}.elf"
    places = [o.simbench] if o.simbench not in ("", "chase") else [os.path.join(os.path.dirname(os.path.abspath(o.arclight)), name),
                                                                   os.path.join(TOP, "build/release", name)]
    found = next((p for p in places if os.path.exists(p)), None)
    if not found:
        raise UserError(f"no SimBench program at {places[0]} (./test builds it, or ninja simbench in a build directory)")
    return os.path.abspath(found)


def workload(o, settings, chosen, guest, out):
    """What is to run: names with QEMU's CPU for the quick form, groups and descriptions, and what identifies the guest."""
    load = SimpleNamespace(disk=None, batch=None, counted=False)
    if o.simbench_given:
        # One boot runs them all, in its own order.
        names, _ = programs.bare(settings.bare)
        load.names, load.batch = [(n, "cortex-a76") for n in names], len(names)
        load.about, load.groups, load.stamp = names, {n: "system" for n in names}, file_sum(settings.bare)
        return load
    with open(os.path.join(guest, "stamp")) as f:
        load.stamp = f.read().strip()
    if o.spec:
        suite = spec.find(o.spec, o.spec_size, o.only)
        load.disk = spec.make_disk(suite, os.path.join(out, "spec.ext4"), settings.inputs)
        load.names, load.about = [(b.name, programs.MAX) for b in suite], {b.name: b.about for b in suite}
        load.groups = {b.name: b.group for b in suite}
        return load
    load.names, load.about, load.groups = [(p.name, p.quick_cpu) for p in chosen], {}, {p.name: p.group for p in chosen}
    load.counted = True
    return load


def file_sum(path):
    try:
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()[:16]
    except OSError:
        return ""


def count_instructions(o, settings, guest, state, began):
    """MIPS need counts; the quick form makes them only while there is time. Counting costs about three times the run."""
    known = counts.cached(guest, o.inputs)
    seconds = {s["program"]: s["wall"] for s in state.samples() if results.kind_of(s["variant"]) == "qemu" and s["program"] not in known}
    seconds.pop("boot", None)
    for failure in state.failures():
        seconds.pop(failure["program"], None)
    if not seconds or (o.quick and not o.count and time.monotonic() - began + 3 * sum(seconds.values()) > 480):
        return
    say(f"counting the guest instructions of {len(seconds)} programs (once for this guest)")
    with tempfile.TemporaryDirectory() as directory:
        try:
            counts.count(guest, settings, list(seconds), directory, 60 + 10 * sum(seconds.values()))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            why = f"{error.cmd[0]} ended with status {error.returncode}" if isinstance(error, subprocess.CalledProcessError) else \
                "QEMU took too long" if isinstance(error, subprocess.TimeoutExpired) else str(error)
            say(f"no instruction counts, so no MIPS: {why}")


def command_report(arguments):
    if not 1 <= len(arguments) <= 2:
        raise UserError("report takes a result file, and a name for the page")
    result = results.load(arguments[0])
    print("\n".join(table.whole(result)))
    target = arguments[1] if len(arguments) > 1 else os.path.splitext(arguments[0])[0] + ".html"
    try:
        page.save(result, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from None
    print(f"\nwritten: {target}")
    return 0


def command_compare(arguments):
    if len(arguments) != 2:
        raise UserError("compare takes two result files: the old and the new")
    return compare.show(results.load(arguments[0]), results.load(arguments[1]))


def command_run_cell(arguments):
    """Internal: one cell of a wave that the Slurm executor wrote; results go to a file beside it, whole or not at all."""
    wave_path, number, target = arguments[0], int(arguments[1]), arguments[2]
    with open(wave_path) as f:
        wave = json.load(f)
    settings = SimpleNamespace(**wave["settings"])
    mine = [variants.Variant(**v) for v in wave["variants"]]
    with open(target + ".part", "w") as f:
        run_cell(wave["cells"][number], mine, wave["guest"], settings, wave["spec"], lambda *_: set(),
                 lambda record: (f.write(json.dumps(record) + "\n"), f.flush()))
        f.write(json.dumps({"type": "end"}) + "\n")
    os.replace(target + ".part", target)
    return 0


def main(arguments):
    commands = {"report": command_report, "compare": command_compare, "run-cell": command_run_cell}
    try:
        if arguments and arguments[0] in commands:
            return commands[arguments[0]](arguments[1:])
        o = parser().parse_args(arguments)
        o.simbench_given = o.simbench is not None
        if o.list:
            for p in programs.PROGRAMS:
                print(f"{p.name:11} {programs.GROUPS[p.group]:7} {p.about}")
            return 0
        return sweep(o)
    except (UserError, results.ResultError, spec.SpecError) as error:
        say(str(error))
        return 2
    except BrokenPipeError:
        return 141
    except KeyboardInterrupt:
        return 130
