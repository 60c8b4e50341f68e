"""Programs of the guest with the profile of host instructions ('arclight run --profile-host')."""
import json, os, tempfile, types
from . import runner
from .variants import Variant


def host_profile(arclight, options, guest, names, inputs, limit, failures):
    """By program, what the profile says of it. `options`: words for 'arclight run'; one line for each failure goes to `failures`."""
    counts, waiting, failed = {}, list(names), set()

    def emit(kind, **fields):
        if kind == "failure":
            failed.add(fields["program"])
            failures.append(f"{fields['program']}: {fields['why']}")

    settings = types.SimpleNamespace(arclight=os.path.abspath(arclight), arclight_options=[], memory=1024, limit=limit, bare=None, stats=False)
    while waiting:
        with tempfile.NamedTemporaryFile(prefix="arclight-profile-") as f:
            words = [*options, "--profile-host", f.name, "--jit-cache", "off"]
            waiting = runner.run_boot(Variant("profile", "arclight", words), guest, settings, waiting, inputs, None, emit)
            try:
                found = json.load(f)
            except ValueError:
                continue
            counts.update((p["name"], p) for p in found["programs"])
    return {name: counts[name] for name in names if name in counts and name not in failed}
