// A machine of RAM, virtual CPUs and one device, for guest code of a few words.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "backend/process_accelerator.h"
#include "devices/bus.h"
#include "devices/guest_clock.h"
#include "frontend/a64/frontend.h"
#include "guestos/machine/board/cpu_group.h"
#include "guestos/machine/board/machine_debugger.h"
#include "guestos/machine/cpu/cpu_context.h"
#include "guestos/machine/cpu/vcpu.h"

namespace arclight::guestos {

/// A64 instruction words, by the ARM ARM's encodings (C6.2).
namespace insn {
constexpr uint32_t movz(unsigned d, unsigned imm, unsigned shift = 0) {
    return 0xd280'0000 | (shift / 16) << 21 | imm << 5 | d;
}
constexpr uint32_t movk(unsigned d, unsigned imm, unsigned shift) {
    return 0xf280'0000 | (shift / 16) << 21 | imm << 5 | d;
}
constexpr uint32_t add(unsigned d, unsigned n, unsigned imm) { return 0x9100'0000 | imm << 10 | n << 5 | d; }
constexpr uint32_t ldr(unsigned t, unsigned n, unsigned offset = 0) {
    return 0xf940'0000 | offset / 8 << 10 | n << 5 | t;
}
constexpr uint32_t ldr_w(unsigned t, unsigned n, unsigned offset = 0) {
    return 0xb940'0000 | offset / 4 << 10 | n << 5 | t;
}
constexpr uint32_t str(unsigned t, unsigned n, unsigned offset = 0) {
    return 0xf900'0000 | offset / 8 << 10 | n << 5 | t;
}
constexpr uint32_t str_w(unsigned t, unsigned n, unsigned offset = 0) {
    return 0xb900'0000 | offset / 4 << 10 | n << 5 | t;
}
/// `words` from this instruction, as in all branches here.
constexpr uint32_t b(int words) { return 0x1400'0000 | (static_cast<uint32_t>(words) & 0x3ff'ffff); }
constexpr uint32_t cbz(unsigned t, int words) {
    return 0xb400'0000 | (static_cast<uint32_t>(words) & 0x7'ffff) << 5 | t;
}
constexpr uint32_t blr(unsigned n) { return 0xd63f'0000 | n << 5; }
constexpr uint32_t br(unsigned n) { return 0xd61f'0000 | n << 5; }
constexpr uint32_t svc(unsigned imm) { return 0xd400'0001 | imm << 5; }
constexpr uint32_t msr_vbar(unsigned t) { return 0xd518'c000 | t; }
constexpr uint32_t mrs_esr(unsigned t) { return 0xd538'5200 | t; }
constexpr uint32_t mrs_far(unsigned t) { return 0xd538'6000 | t; }
constexpr uint32_t mrs_elr(unsigned t) { return 0xd538'4020 | t; }
constexpr uint32_t dc_cvau(unsigned t) { return 0xd50b'7b20 | t; }
constexpr uint32_t ic_ivau(unsigned t) { return 0xd50b'7520 | t; }
constexpr uint32_t kRet = 0xd65f'03c0, kEret = 0xd69f'03e0, kNop = 0xd503'201f, kYield = 0xd503'203f,
                   kWfi = 0xd503'207f, kHvc = 0xd400'0002, kDsb = 0xd503'3f9f, kIsb = 0xd503'3fdf,
                   kUnmaskIrq = 0xd503'42ff, kTlbiVmalle1is = 0xd508'831f;
}  // namespace insn

class TestMachine {
  public:
    static constexpr uint64_t kRam = 0x4000'0000, kRamBytes = 16 << 20;
    static constexpr uint64_t kDevice = 0x1000'0000;  ///< a write to offset 0 is recorded, to 8 stops all
    static constexpr uint64_t kVectors = kRam + 0x8000;
    static constexpr uint64_t kFlash = 0x0400'0000,
                              kFlashBytes = 0x2000;  ///< no device is there unless a test maps one

    explicit TestMachine(unsigned cpus = 1, size_t code_bytes = size_t{8} << 20,
                         const jit::Tier2Options& tier2 = {}, bool debugged = false,
                         frontend::a64::FeatureSet features = frontend::a64::kDefaultFeatures)
        : features(features),
          engine(*frontend, memory, {.code_bytes = code_bytes, .concurrent = cpus > 1, .tier2 = tier2}) {
        if (debugged)
            debugger.emplace(MachineDebugger::Parts{.cpus = group,
                                                    .engine = engine,
                                                    .memory = memory,
                                                    .bus = bus,
                                                    .pause = [this] { return group.pause(); },
                                                    .go_on = [this] { group.resume(); },
                                                    .power_off = [this] { group.stop(); },
                                                    .reset = [] {}},
                             frontend::a64::kDefaultFeatures);
        bus.map(kDevice, 0x1000, device, "test");
        for (unsigned i = 0; i < cpus; ++i) add_cpu(i, cpus);
    }
    ~TestMachine() {
        stop();
        munmap(ram, kRamBytes);
    }

    /// All that a virtual CPU takes.
    Vcpu& add_cpu(unsigned index, unsigned cpus) {
        return group.add({.engine = engine,
                          .accelerator = accelerator,
                          .memory = memory,
                          .overlay = overlay,
                          .bus = bus,
                          .clock = clock,
                          .peers = group,
                          .trace = trace,
                          .features = features.without(frontend::a64::Feature::Gic),
                          .debug = debugger ? &*debugger : nullptr},
                         {.index = index, .cpus = cpus, .check_helpers = true});
    }

    void write(uint64_t pa, const std::vector<uint32_t>& words) {
        std::memcpy(ram + (pa - kRam), words.data(), words.size() * 4);
    }
    std::atomic_ref<uint64_t> cell(uint64_t pa) {
        return std::atomic_ref(*reinterpret_cast<uint64_t*>(ram + (pa - kRam)));
    }
    /// Loads a 32-bit constant.
    static void put_constant(std::vector<uint32_t>& code, unsigned d, uint64_t value) {
        code.push_back(insn::movz(d, value & 0xffff));
        code.push_back(insn::movk(d, value >> 16 & 0xffff, 16));
    }
    /// Guest code at `pa`, after x9 = the device and VBAR_EL1 = kVectors (x10).
    void write_program(uint64_t pa, std::initializer_list<uint32_t> words) {
        std::vector<uint32_t> code;
        put_constant(code, 9, kDevice);
        put_constant(code, 10, kVectors);
        code.push_back(insn::msr_vbar(10));
        code.insert(code.end(), words);
        write(pa, code);
    }
    /// Of the words of write_program().
    static uint64_t word(uint64_t pa, unsigned n) { return pa + 4 * (5 + n); }

    /// Runs until the guest writes to kDevice + 8, or stop().
    void start() {
        thread = std::thread([this] { group.run(accelerator, [](const std::string&) {}); });
    }
    void stop() {
        group.stop();
        if (thread.joinable()) thread.join();
    }
    /// False: the guest has not stopped in 20 s.
    bool run() {
        start();
        const bool ended = wait_until([&] { return group.stopping(); });
        stop();
        return ended;
    }
    static bool wait_until(const std::function<bool()>& what) {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!what()) {
            if (std::chrono::steady_clock::now() > limit) return false;
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
        return true;
    }

    struct Recorder final : devices::Device {
        explicit Recorder(CpuGroup& group) : group(group) {}
        uint64_t read(uint64_t offset, unsigned size) override {
            if (before_read) before_read();
            const std::lock_guard guard(lock);
            reads.push_back({offset, size});
            return 0xfedc'ba98'7654'3210;
        }
        void write(uint64_t offset, uint64_t value, unsigned size) override {
            if (offset == 8) return group.stop();
            const std::lock_guard guard(lock);
            values.push_back(value);
            writes.push_back({offset, size});
        }
        using Access = std::pair<uint64_t, unsigned>;
        CpuGroup& group;
        std::function<void()> before_read;  ///< on the virtual CPU's thread
        std::mutex lock;
        std::vector<uint64_t> values;
        std::vector<Access> reads, writes;
    };

    uint8_t* const ram = static_cast<uint8_t*>(
        mmap(nullptr, kRamBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mmu::PageOverlay overlay{ram, kRam, kRamBytes};
    std::vector<uint8_t> flash = std::vector<uint8_t>(kFlashBytes);
    const mmu::GuestMemory memory{
        ram, kRam, kRamBytes, &overlay, nullptr, {.host = flash.data(), .base = kFlash, .size = kFlashBytes}};
    const frontend::a64::FeatureSet features;
    const std::unique_ptr<const jit::Frontend> frontend = frontend::a64::make_frontend(features);
    jit::Engine engine;
    backend::ProcessAccelerator accelerator{engine.code()};
    devices::Bus bus;
    devices::GuestClock clock;
    CpuTrace trace;
    CpuGroup group{engine};
    std::optional<MachineDebugger> debugger;
    Recorder device{group};
    std::thread thread;
};

}  // namespace arclight::guestos
