#!/usr/bin/env python3
"""The Slurm executor on a cluster of one node that this test starts: array jobs, results gathered, failed jobs retried, nothing lost
when the node dies."""
import atexit, getpass, json, os, shutil, signal, socket, subprocess, sys, time
import harness
from harness import check, command, environment, no_traceback, work

os.environ["PATH"] += ":/usr/sbin:/sbin"
for tool in ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol"):
    if not shutil.which(tool):
        harness.skip(f"no {tool} (Debian: packages slurm-wlm, munge)")
daemons = {}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(name, *words):
    log = open(os.path.join(work, name + ".out"), "a")
    daemons[name] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def stop(name, how=signal.SIGTERM):
    process = daemons.pop(name, None)
    if process is None:
        return
    process.send_signal(how)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_steps():
    """Ends the daemons of running job steps, which live in sessions of their own: found by this test's own directory."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                mine = f"SLURM_CONF={conf}".encode() in f.read().split(b"\0")
            if mine and int(pid) not in (os.getpid(), *[d.pid for d in daemons.values()]) and int(pid) != sweep_pid:
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass


conf, sweep_pid = os.path.join(work, "slurm.conf"), 0
atexit.register(lambda: [stop(name) for name in ("slurmd", "slurmctld", "munged")])
key = os.path.join(work, "munge.key")
subprocess.run(["mungekey", "--create", f"--keyfile={key}"], check=True)
munge = os.path.join(work, "munge.socket")
start("munged", "munged", "--foreground", f"--key-file={key}", f"--socket={munge}", f"--pid-file={work}/munge.pid", f"--log-file={work}/munge.log",
      f"--seed-file={work}/munge.seed", *(["--force"] if os.getuid() == 0 else []))
host = socket.gethostname().split(".")[0]
os.makedirs(os.path.join(work, "state"))
os.makedirs(os.path.join(work, "spool"))
with open(conf, "w") as f:
    f.write(f"""ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmUser={getpass.getuser()}
SlurmdUser={getpass.getuser()}
AuthType=auth/munge
AuthInfo=socket={munge}
CredType=cred/munge
StateSaveLocation={work}/state
SlurmdSpoolDir={work}/spool
SlurmctldPidFile={work}/slurmctld.pid
SlurmdPidFile={work}/slurmd.pid
SlurmctldLogFile={work}/slurmctld.log
SlurmdLogFile={work}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdTimeout=10
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=500
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
""")
with open(os.path.join(work, "cgroup.conf"), "w") as f:
    f.write("CgroupAutomount=no\n")
os.environ["SLURM_CONF"] = conf


def node_state():
    out = subprocess.run(["sinfo", "-h", "-o", "%T"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return out.stdout.strip()


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.3)
    return False


wait_for(lambda: os.path.exists(munge), 10)
start("slurmctld", "slurmctld", "-D", "-f", conf)
start("slurmd", "slurmd", "-D", "-f", conf)
if not wait_for(lambda: node_state() == "idle", 40):
    for log in ("slurmctld.log", "slurmd.log", "slurmd.out", "munged.out"):
        path = os.path.join(work, log)
        if os.path.exists(path):
            print(log, open(path).read()[-600:])
    harness.skip(f"Slurm does not run in this environment (node: {node_state() or 'unreachable'})")


def run(out, *arguments, fake="", meanwhile=None):
    global sweep_pid
    process = subprocess.Popen(command(out, "--executor", "slurm", "--batch", "1", *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, env=environment(fake))
    sweep_pid = process.pid
    if meanwhile:
        meanwhile(process)
    text = process.communicate(timeout=200)[0]
    try:
        with open(os.path.join(work, out, "result.json")) as f:
            return process.returncode, text, json.load(f)
    except OSError:
        return process.returncode, text, None


def complete(result, reps, what):
    for name in ("perl", "bzip2", "fft", "getpid"):
        entry = result["programs"][name]["seconds"]
        check(len(entry) == 3 and all(s["n"] == reps for s in entry.values()), f"{what}: {name}: {entry}")


def outputs(out):
    jobs = os.path.join(work, out, "jobs")
    return [f for f in os.listdir(jobs) if f.endswith(".out")] if os.path.isdir(jobs) else []


status, text, result = run("plain")
check(status == 0, f"plain: status {status}:\n{text}")
no_traceback(text, "plain")
complete(result, 2, "plain")

# A job that dies the first time: submitted again.
marker = os.path.join(work, "marker")
status, text, result = run("retry", "--reps", "1", fake=f"once={marker}:kill-job")
check(status == 0 and "submitting them again" in text, f"retry: status {status}:\n{text}")
complete(result, 1, "retry")


# One job hangs on the node that dies; the others are done before or after.
marker = os.path.join(work, "marker-2")


def node_dies(process):
    queue = lambda: subprocess.run(["squeue", "-r"], stdout=subprocess.PIPE, text=True).stdout
    check(wait_for(lambda: len(outputs("node")) == 3, 40), f"three jobs done while one hangs: {outputs('node')}\n{queue()}")
    stop("slurmd", signal.SIGKILL)
    end_steps()
    check(wait_for(lambda: "down" in node_state(), 60), f"the controller noticed: {node_state()}")
    start("slurmd", "slurmd", "-D", "-f", conf)


status, text, result = run("node", "--reps", "1", fake=f"once={marker}:hang=*", meanwhile=node_dies)
check(status == 0 and "submitting them again" in text, f"node: status {status}:\n{text}")
complete(result, 1, "node")

# Ctrl-C takes the jobs out of the queue; the same command goes on, here or there.
def interrupt(process):
    wait_for(lambda: len(outputs("stop")) >= 1, 60)
    process.send_signal(signal.SIGINT)


status, text, result = run("stop", "--reps", "1", fake="slow", meanwhile=interrupt)
check(status == 130 and "nothing is lost" in text, f"stop: status {status}:\n{text}")
check(wait_for(lambda: not subprocess.run(["squeue", "-h"], stdout=subprocess.PIPE, text=True).stdout.strip(), 30), "the queue is empty")
status, text, result = run("stop", "--reps", "1")
check(status == 0 and "resuming" in text, f"after the stop: status {status}:\n{text}")
complete(result, 1, "after the stop")
harness.end()
