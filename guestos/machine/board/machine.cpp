#include "guestos/machine/board/machine.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "backend/kvm/kvm_accelerator.h"
#include "backend/kvm/probe.h"
#include "backend/process_accelerator.h"
#include "devices/device_factory.h"
#include "frontend/a64/system/sysregs.h"
#include "guestos/machine/cpu/vcpu.h"

namespace arclight::guestos {

namespace layout = devices::layout;
using devices::GenericTimer;

Result<std::unique_ptr<RamMapping>> RamMapping::allocate(uint64_t bytes) {
    constexpr uint64_t kHuge = uint64_t{2} << 20;
    // Room to start at a multiple of 2 MiB, so that the host can use huge pages throughout.
    const uint64_t reserve = bytes + kHuge;
    void* p =
        mmap(nullptr, reserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return failure("cannot get {} MiB of memory for the guest: {}", bytes >> 20, strerror(errno));
    auto* start = static_cast<uint8_t*>(p);
    auto* aligned =
        reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(start) + kHuge - 1) & ~(kHuge - 1));
    if (aligned != start) munmap(start, static_cast<size_t>(aligned - start));
    const size_t tail = static_cast<size_t>(start + reserve - (aligned + bytes));
    if (tail != 0) munmap(aligned + bytes, tail);
    madvise(aligned, bytes, MADV_HUGEPAGE);
    return std::unique_ptr<RamMapping>(new RamMapping(aligned, bytes));
}

RamMapping::~RamMapping() { munmap(host_, size_); }

namespace {
unsigned host_cores() {
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) == 0
               ? static_cast<unsigned>(CPU_COUNT(&cores))
               : std::max(1u, std::thread::hardware_concurrency());
}
}  // namespace

Machine::Machine(const RunOptions& options, devices::EventLoop& loop, std::unique_ptr<RamMapping> ram)
    : options_(options),
      loop_(loop),
      ram_(std::move(ram)),
      overlay_(ram_->host(), layout::kRamBase, ram_->size()),
      memory_(ram_->host(), layout::kRamBase, ram_->size(), &overlay_),
      host_cores_(host_cores()) {}

Machine::~Machine() {
    if (engine_ != nullptr) engine_->stop_compiling();  // it looks at the CPUs
    if (trace_file_ != nullptr && trace_file_ != stderr) std::fclose(trace_file_);
}

Result<std::unique_ptr<Machine>> Machine::create(const RunOptions& options, devices::EventLoop& loop,
                                             devices::CharBackend& console, ExitStatus* exit_status) {
    auto ram = RamMapping::allocate(options.memory);
    if (!ram) return std::unexpected(ram.error());
    std::unique_ptr<Machine> machine(new Machine(options, loop, std::move(*ram)));
    if (auto built = machine->build(console, exit_status); !built) return std::unexpected(built.error());
    return machine;
}

Result<void> Machine::build(devices::CharBackend& console, ExitStatus* exit_status) {
    if (options_.trace.any()) {
        trace_file_ = options_.trace.file.empty() ? stderr : std::fopen(options_.trace.file.c_str(), "w");
        if (trace_file_ == nullptr)
            return failure("cannot write trace file '{}': {}", options_.trace.file, strerror(errno));
    }
    tier_ = options_.jit != JitTier::automatic ? options_.jit
            : jit::have_region_compiler()      ? JitTier::tiered
                                               : JitTier::tier1;
    jit::Tier2Options tier2{.enabled = tier_ != JitTier::tier1,
                            .synchronous = tier_ == JitTier::tier2,
                            .max_insns = options_.jit_region,
                            .code_bytes = options_.jit_code_bytes,
                            .dump_directory = options_.jit_dump,
                            .perf_map = options_.perf_map,
                            .cache_directory = options_.jit_cache,
                            .cache_bytes = options_.jit_cache_bytes,
                            .faults = options_.jit_faults,
                            .sample = options_.jit_sample,
                            .sample_seed = options_.jit_sample_seed};
    if (tier2.synchronous) tier2.threshold = 1;
    if (options_.jit_threshold) {
        tier2.heat = tier2.heat / tier2.threshold * *options_.jit_threshold;
        tier2.threshold = *options_.jit_threshold;
    }
    if (tier2.enabled && (options_.stats || !options_.stats_file.empty()))
        profiler_ = std::make_unique<SamplingProfiler>();
    tier2.make_compiler = [this] {
        auto compiler = jit::make_region_compiler();
        if (profiler_ != nullptr) profiler_->note_libraries();
        return compiler;
    };
    engine_ = std::make_unique<jit::Engine>(memory_, jit::EngineOptions{.code_bytes = options_.code_cache,
                                                                        .concurrent = options_.cpus > 1,
                                                                        .tier2 = tier2,
                                                                        .trace_blocks = options_.trace.blocks,
                                                                        .trace_ir = options_.trace.ir,
                                                                        .trace_host = options_.trace.host,
                                                                        .trace_file = trace_file_});
    if (auto chosen = choose_accelerator(); !chosen) return chosen;
    print_accelerator();

    if (options_.shadow.policy == mmu::ShadowPolicy::tsp) {
        table_pages_ = std::make_unique<mmu::TablePages>(memory_);
        engine_->code().set_grouping(
            false);  // a slow path may wait for the other CPUs, and answers them meanwhile
    }
    for (unsigned i = 0; i < options_.cpus; ++i) vcpus_.push_back(std::make_unique<Vcpu>(*this, i));
    for (const auto& v : vcpus_) works_.push_back(&v->work());
    devices::InterruptController* gic;
    if (options_.gic == 3) {
        gic3_ = std::make_unique<devices::GicV3>(options_.cpus, *this);
        gic3_->map(bus_);
        gic = gic3_.get();
    } else {
        gic2_ = std::make_unique<devices::GicV2>(options_.cpus, *this);
        gic2_->map(bus_);
        gic = gic2_.get();
    }
    for (unsigned i = 0; i < options_.cpus; ++i)
        timers_.push_back(std::make_unique<GenericTimer>(loop_, clock_, *gic, i));

    const auto spi = [&](unsigned n) { return devices::IrqLine(*gic, layout::kFirstSpiIntid + n); };
    uart_ = std::make_unique<devices::Pl011>(console, spi(layout::kSpiUart));
    bus_.map(layout::kUart.base, layout::kUart.size, *uart_, "pl011");
    rtc_ = std::make_unique<devices::Pl031>(loop_, clock_, spi(layout::kSpiRtc));
    bus_.map(layout::kRtc.base, layout::kRtc.size, *rtc_, "pl031");
    if (exit_status != nullptr)
        bus_.map(ExitStatus::range.base, ExitStatus::range.size, *exit_status, "exit-status");

    auto virtio_devices = make_virtio_devices();
    if (!virtio_devices) return std::unexpected(virtio_devices.error());
    for (unsigned slot = 0; slot < layout::kVirtioSlots; ++slot) {
        virtio_.push_back(std::make_unique<devices::virtio::Mmio>(
            slot, memory_, spi(layout::kSpiVirtio + slot), std::move((*virtio_devices)[slot])));
        bus_.map(layout::virtio_slot_base(slot), layout::kVirtioSlotSize, *virtio_.back(),
                 fmt::format("virtio-mmio{}", slot));
    }

    // The clock comes first: quiesced timers go by a counter that stands.
    stateful_parts_.add("clock", clock_);
    for (unsigned i = 0; i < options_.cpus; ++i) stateful_parts_.add(fmt::format("timer{}", i), *timers_[i]);
    stateful_parts_.add("pl011", *uart_);
    stateful_parts_.add("pl031", *rtc_);
    if (exit_status != nullptr) stateful_parts_.add("exit-status", *exit_status);
    for (unsigned slot = 0; slot < layout::kVirtioSlots; ++slot)
        stateful_parts_.add(fmt::format("virtio-mmio{}", slot), *virtio_[slot]);
    stateful_parts_.add("psci", psci_);
    if (gic3_)
        stateful_parts_.add("gic", *gic3_);
    else
        stateful_parts_.add("gic", *gic2_);
    return {};
}

/// By slot: the drives in their order, then the entropy device.
Result<std::vector<std::unique_ptr<devices::virtio::Backend>>> Machine::make_virtio_devices() {
    std::vector<devices::DeviceRequest> requests;
    const auto on_off = [](bool on) { return on ? "on" : "off"; };
    for (const DriveOptions& drive : options_.drives)
        requests.push_back({"virtio-blk",
                            {{"file", drive.file},
                             {"readonly", on_off(drive.readonly)},
                             {"snapshot", on_off(drive.snapshot)},
                             {"serial", drive.serial}}});
    if (options_.rng && requests.size() < layout::kVirtioSlots) requests.push_back({"virtio-rng", {}});
    if (requests.size() > layout::kVirtioSlots)
        return failure("more than {} virtio devices", layout::kVirtioSlots);

    const auto factory = devices::DeviceFactory::standard();
    std::vector<std::unique_ptr<devices::virtio::Backend>> backends(layout::kVirtioSlots);
    unsigned nth = 0;
    for (const devices::DeviceRequest& request : requests) {
        auto made = factory.make(request, {loop_, clock_});
        if (!made) return std::unexpected(made.error());
        backends[layout::virtio_slot_of_device(nth++)] =
            std::move(std::get<std::unique_ptr<devices::virtio::Backend>>(*made));
    }
    return backends;
}

Result<void> Machine::choose_accelerator() {
    if (options_.fastmem == Fastmem::on && options_.accel == Accel::process)
        return failure("--windows on needs the virtual machine's page tables: --accel kvm");
    backend::kvm::Probe probe;
    if (options_.accel != Accel::process) {
        probe = backend::kvm::probe();
        if (options_.accel == Accel::kvm && !probe.usable) return failure("--accel kvm: {}", probe.why_not);
    }
    accelerator_reason_ = options_.accel == Accel::automatic ? probe.reason() : "as asked for";
    if (options_.accel == Accel::kvm || (options_.accel == Accel::automatic && probe.preferred())) {
        // A fault costs a microsecond or two where ring 0 is native, and as much as hundreds of soft TLB
        // fills elsewhere.
        const bool fastmem =
            options_.fastmem == Fastmem::on || (options_.fastmem == Fastmem::automatic && probe.native_ring0);
        auto accelerator =
            backend::KvmAccelerator::create(engine_->code(), {.cpus = options_.cpus,
                                                              .native_ring0 = probe.native_ring0,
                                                              .fastmem = fastmem,
                                                              .fastmem_fault = &Vcpu::fastmem_fault});
        if (accelerator) {
            accelerator_ = std::move(*accelerator);
            return {};
        }
        if (options_.accel == Accel::kvm) return failure("--accel kvm: {}", accelerator.error());
        accelerator_reason_ = fmt::format("process: {}", accelerator.error());
    }
    accelerator_ = std::make_unique<backend::ProcessAccelerator>(engine_->code());
    return {};
}

/// For a person who watches; a command's output stays the command's.
void Machine::print_accelerator() const {
    if (options_.accel == Accel::automatic && options_.command.empty() && isatty(STDERR_FILENO) != 0)
        fmt::print(stderr, "arclight: --accel auto chose {}\n", accelerator_reason_);
}

void Machine::fail(const std::string& why) {
    {
        const std::lock_guard guard(exclusive_lock_);
        if (failure_.empty()) failure_ = why;
    }
    stop(End::Failure);
}

Machine::End Machine::run(const BootState& boot) {
    vcpus_[0]->power_on(boot.entry, boot.x0);
    std::vector<std::thread> threads;
    if (profiler_ != nullptr) profiler_->set_code(engine_->code().base(), engine_->code().size());
    const bool elsewhere = profiler_ != nullptr && accelerator_->on_interrupted(SamplingProfiler::interrupted);
    for (auto& v : vcpus_)
        threads.emplace_back([this, &v, elsewhere] {
            std::optional<SamplingProfiler::Thread> samples;
            if (profiler_ != nullptr) samples.emplace(*profiler_, v->waits(), elsewhere);
            const auto ran = accelerator_->run_thread(v->index(), [&v] { v->thread_main(); });
            v->work().abandon();
            if (!ran) fail(ran.error());
        });
    for (std::thread& t : threads) t.join();
    return end_;
}

void Machine::stop(End why) {
    bool expected = false;
    if (stopping_.compare_exchange_strong(expected, true)) end_ = why;
    for (auto& v : vcpus_) v->stop_waiting();
    contextidr_tracker_.stop();
    const std::lock_guard guard(exclusive_lock_);
    exclusive_changed_.notify_all();
}

bool Machine::icc_read(unsigned cpu, uint32_t encoding, uint64_t& value) {
    return gic3_ != nullptr && gic3_->read_sysreg(cpu, encoding, value);
}
bool Machine::icc_write(unsigned cpu, uint32_t encoding, uint64_t value) {
    return gic3_ != nullptr && gic3_->write_sysreg(cpu, encoding, value);
}

namespace {
// CNTP_* is CRm 2, CNTV_* CRm 3; op2 0 is TVAL, 1 CTL, 2 CVAL (ARM ARM D19.12).
GenericTimer::Kind timer_kind(uint32_t encoding) {
    return (encoding >> 3 & 15) == 2 ? GenericTimer::Kind::Physical : GenericTimer::Kind::Virtual;
}
}  // namespace

uint64_t Machine::timer_read(unsigned cpu, uint32_t encoding) {
    GenericTimer& timer = *timers_[cpu];
    switch (encoding & 7) {
        case 0: return timer.read_tval(timer_kind(encoding));
        case 1: return timer.read_ctl(timer_kind(encoding));
        default: return timer.read_cval(timer_kind(encoding));
    }
}

void Machine::timer_write(unsigned cpu, uint32_t encoding, uint64_t value) {
    GenericTimer& timer = *timers_[cpu];
    switch (encoding & 7) {
        case 0: return timer.write_tval(timer_kind(encoding), value);
        case 1: return timer.write_ctl(timer_kind(encoding), value);
        default: return timer.write_cval(timer_kind(encoding), value);
    }
}

void Machine::set_irq_line(unsigned cpu, bool irq, bool fiq) {
    if (cpu < vcpus_.size()) vcpus_[cpu]->set_irq_line(irq, fiq);
}

devices::PsciResult Machine::cpu_on(uint64_t target, uint64_t entry, uint64_t context) {
    if (target >= vcpus_.size()) return devices::PsciResult::InvalidParameters;
    Vcpu& vcpu = *vcpus_[target];
    if (!vcpu.powered_off()) return devices::PsciResult::AlreadyOn;
    vcpu.power_on(entry, context);
    return devices::PsciResult::Success;
}

void Machine::cpu_off(unsigned cpu) {
    if (cpu < vcpus_.size()) vcpus_[cpu]->request_power_off();
}

int32_t Machine::affinity_info(uint64_t target, unsigned level) {
    if (target >= vcpus_.size() || level > 3)
        return static_cast<int32_t>(devices::PsciResult::InvalidParameters);
    return vcpus_[target]->powered_off() ? 1 : 0;
}

bool Machine::short_of_cores() const {
    return static_cast<unsigned>(std::ranges::count_if(vcpus_, [](const auto& v) { return !v->halted(); })) >
           host_cores_;
}

devices::IrqLine Machine::uart_line() {
    devices::InterruptController* gic =
        gic3_ ? static_cast<devices::InterruptController*>(gic3_.get()) : gic2_.get();
    return {*gic, layout::kFirstSpiIntid + layout::kSpiUart};
}

void Machine::forget_pages(std::span<const uint64_t> pages, bool content) {
    if (content)
        for (const uint64_t pa : pages) engine_->invalidate(pa, mmu::kPageSize);
    else
        engine_->wait_for_readers();
    CrossCpuWork::Batch batch;
    for (CrossCpuWork* work : works_)
        work->post({CrossCpuWork::Request::Kind::Tlbi, {.kind = mmu::TlbiRequest::Kind::All}}, &batch);
    CrossCpuWork::wait(batch, works_);
}

// While a CPU waits here it counts as halted: it looks at requests before it runs guest code again. So nobody
// who waits for its answer to a broadcast waits for the end of the exclusive work, which may itself wait for
// him.
void Machine::park_if_asked(Vcpu& self) {
    if (!exclusive_) return;
    const Vcpu::Halt halt(self);
    std::unique_lock guard(exclusive_lock_);
    exclusive_changed_.notify_all();
    exclusive_changed_.wait(guard, [&] { return !exclusive_ || stopping(); });
}

void Machine::flush_code(Vcpu& self) {
    if (flush_code_alone(self)) return;
    park_if_asked(self);  // another one is at it: take part, then look again
}

bool Machine::flush_code_alone(Vcpu& self) {
    const Vcpu::Halt halt(self);
    std::unique_lock guard(exclusive_lock_);
    if (exclusive_) return false;
    exclusive_ = true;
    for_each_other(self, [](Vcpu& v) { v.kick(); });
    const auto others_are_out = [&] {
        bool out = true;
        for_each_other(self, [&](Vcpu& v) { out = out && v.halted(); });
        return out || stopping();
    };
    // A CPU that halts meanwhile does not notify. One that wakes up was kicked and parks before it runs guest
    // code.
    while (!others_are_out()) exclusive_changed_.wait_for(guard, std::chrono::milliseconds(1));
    if (!stopping()) {
        engine_->flush();
        self.forget_code();
        for_each_other(self,
                       [](Vcpu& v) { v.work().post({CrossCpuWork::Request::Kind::ForgetCode}, nullptr); });
    }
    exclusive_ = false;
    exclusive_changed_.notify_all();
    return true;
}

}  // namespace arclight::guestos
