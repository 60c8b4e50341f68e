"""What the host is and how busy it is: written beside every measurement."""
import os, platform, subprocess


def describe():
    model = "unknown"
    try:
        with open("/proc/cpuinfo") as f:
            model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), model)
        with open("/proc/meminfo") as f:
            memory = int(f.readline().split()[1]) // 1024
    except OSError:
        memory = 0
    flags = subprocess.run(["systemd-detect-virt"], stdout=subprocess.PIPE, text=True) if os.path.exists("/usr/bin/systemd-detect-virt") else None
    return {"cpu": model, "cores": os.cpu_count(), "memory_mib": memory, "kernel": platform.release(),
            "virtual": flags.stdout.strip() if flags else "unknown"}


def load():
    return os.getloadavg()[0]


def busy_seconds():
    """CPU seconds that all processes of the host have used so far."""
    with open("/proc/stat") as f:
        user, nice, system, _idle, _wait, irq, soft, *_ = map(int, f.readline().split()[1:])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")
