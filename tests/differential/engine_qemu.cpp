// Oracle B: the runner program under qemu-aarch64, or natively on an AArch64 host.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "tests/differential/case.h"
#include "tests/differential/generator.h"

namespace arclight::differential {
namespace {

class QemuEngine final : public Engine {
  public:
    explicit QemuEngine(std::string cpu) : cpu_(std::move(cpu)) {}
    ~QemuEngine() override { stop(); }
    const char* name() const override { return cpu_.starts_with("max") ? "qemu-max" : "qemu"; }

    std::vector<Outcome> run(const Batch& batch, const std::vector<bool>& wanted) override {
        std::vector<Outcome> out(batch.cases.size());
        std::vector<size_t> which;
        for (size_t i = 0; i < out.size(); ++i)
            if (wanted[i]) which.push_back(i);
        if (which.empty()) return out;
        if (pid_ < 0) start();
        const std::vector<uint8_t> request = encode(batch, which);
        // Results may fill the pipe before the runner has read everything, so write from another thread.
        std::thread writer([&] { write_all(request); });
        size_t done = 0;
        for (; done < which.size(); ++done)
            if (!read_outcome(batch.cases[which[done]], out[which[done]])) break;
        writer.join();
        if (done < which.size()) {
            stop();
            for (size_t k = done; k < which.size(); ++k) {
                out[which[k]].stop = Stop::Broken;
                out[which[k]].problem = "the runner died";
            }
        }
        return out;
    }

    void start() {
        std::signal(SIGPIPE, SIG_IGN);
        int to[2], from[2];
        if (pipe(to) != 0 || pipe(from) != 0) std::abort();
        pid_ = fork();
        if (pid_ == 0) {
            dup2(to[0], 0);
            dup2(from[1], 1);
            for (const int fd : {to[0], to[1], from[0], from[1]}) close(fd);
#ifdef __aarch64__
            execl(ARCLIGHT_RUNNER, ARCLIGHT_RUNNER, nullptr);
#else
            execlp(qemu_program(), "qemu-aarch64", "-cpu", cpu_.c_str(), ARCLIGHT_RUNNER, nullptr);
#endif
            _exit(127);
        }
        close(to[0]);
        close(from[1]);
        to_ = to[1];
        from_ = from[0];
    }

    void stop() {
        if (pid_ < 0) return;
        close(to_);
        close(from_);
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

  private:
    static std::vector<uint8_t> encode(const Batch& batch, const std::vector<size_t>& which) {
        std::vector<uint8_t> bytes(sizeof(DiffHeader));
        auto append = [&](const void* p, size_t n) {
            bytes.insert(bytes.end(), static_cast<const uint8_t*>(p), static_cast<const uint8_t*>(p) + n);
        };
        append(batch.arena, DIFF_ARENA_BYTES);
        for (const size_t i : which) {
            const Case& c = batch.cases[i];
            const DiffCase header{c.initial, c.code_offset, static_cast<uint32_t>(c.words.size()), 0};
            append(&header, sizeof header);
            append(c.words.data(), c.words.size() * 4);
            const uint32_t pad = 0;
            if (c.words.size() % 2 != 0) append(&pad, 4);
        }
        const DiffHeader header{DIFF_BATCH_MAGIC, static_cast<uint32_t>(which.size()),
                                bytes.size() - sizeof header};
        std::memcpy(bytes.data(), &header, sizeof header);
        return bytes;
    }

    void write_all(const std::vector<uint8_t>& bytes) const {
        for (size_t at = 0; at < bytes.size();) {
            const ssize_t n = write(to_, bytes.data() + at, bytes.size() - at);
            if (n <= 0) return;
            at += static_cast<size_t>(n);
        }
    }
    bool read_all(void* to, size_t n) const {
        auto* p = static_cast<uint8_t*>(to);
        while (n > 0) {
            const ssize_t got = read(from_, p, n);
            if (got <= 0) return false;
            p += got;
            n -= static_cast<size_t>(got);
        }
        return true;
    }

    bool read_outcome(const Case& c, Outcome& out) const {
        DiffResult r;
        if (!read_all(&r, sizeof r) || r.granules > DIFF_ARENA_BYTES / 16) return false;
        out.memory.resize(r.granules);
        if (!read_all(out.memory.data(), r.granules * sizeof(DiffGranule))) return false;
        out.state = r.state;
        const bool inside = c.in_slot(r.state.pc);
        switch (r.signal) {
            case DIFF_SIGNAL_TRAP: out.stop = Stop::End; break;
            case DIFF_SIGNAL_ILL: out.stop = Stop::Undefined; break;
            case DIFF_SIGNAL_BUS: out.stop = Stop::Align; break;
            default: out.stop = inside ? Stop::Fault : Stop::End; break;  // outside: nothing to execute there
        }
        return true;
    }

    const std::string cpu_;
    pid_t pid_ = -1;
    int to_ = -1, from_ = -1;
};

}  // namespace

std::unique_ptr<Engine> make_qemu_engine(const std::string& cpu, std::string& problem) {
#ifdef ARCLIGHT_RUNNER
    if (std::system((std::string(qemu_program()) + " --version >/dev/null 2>&1").c_str()) != 0) {
        problem = "qemu-aarch64 (package qemu-user) is not installed";
        return nullptr;
    }
    auto engine = std::make_unique<QemuEngine>(cpu);
    return engine;
#else
    problem = "no AArch64 cross compiler (package gcc-aarch64-linux-gnu) when this was built";
    return nullptr;
#endif
}

}  // namespace arclight::differential
