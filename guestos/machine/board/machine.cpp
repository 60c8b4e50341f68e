#include "guestos/machine/board/machine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <thread>

#include "backend/kvm/kvm_accelerator.h"
#include "backend/kvm/probe.h"
#include "backend/process_accelerator.h"
#include "devices/host_time_watch.h"
#include "frontend/a64/frontend.h"
#include "guestos/machine/board/ram_choice.h"
#include "guestos/machine/board/register_home.h"
#include "guestos/prepare/engine_modules.h"
#include "host/memory_fault.h"
#include "jit/tag_checks.h"

namespace arclight::guestos {

namespace layout = devices::layout;

namespace {

/// On a terminal the guest's console may have left the cursor anywhere, and no end of line is made two characters.
void print_message(const std::string& line) {
    const bool terminal = isatty(STDERR_FILENO) != 0;
    fmt::print(stderr, "{}arclight: {}{}", terminal ? "\r\n" : "", line, terminal ? "\r\n" : "\n");
}

}  // namespace

Machine::Machine(const RunOptions& options, devices::EventLoop& loop, std::unique_ptr<RamMapping> ram,
                 std::shared_ptr<FlashMemory> flash, std::unique_ptr<mmu::TagMemory> tags)
    : options_(options),
      loop_(loop),
      ram_(std::move(ram)),
      flash_(std::move(flash)),
      overlay_(ram_->host(), layout::kRamBase, ram_->size()),
      table_pages_(!mmu::protects_tables(options.shadow.policy)
                       ? nullptr
                       : std::make_unique<mmu::TablePages>(
                             mmu::GuestMemory(ram_->host(), layout::kRamBase, ram_->size(), &overlay_),
                             options.shadow.policy)),
      tags_(std::move(tags)),
      memory_(ram_->host(), layout::kRamBase, ram_->size(), &overlay_, table_pages_.get(),
              FlashMemory::memory_of(flash_.get()), tags_.get()) {
    overlay_.use(ram_->host_stage());
}

// The devices are there until no pause is under way any more, and what they ask for pauses until they are gone.
Machine::~Machine() {
    if (pause_control_ != nullptr) pause_control_->stop();
}

Result<std::unique_ptr<Machine>> Machine::create(const RunOptions& options, devices::EventLoop& loop,
                                                 const BoardSerial& serial, ExitStatus* exit_status,
                                                 std::shared_ptr<FlashMemory> flash) {
    if (auto permitted = check_registers(options, jit::host_has_vector_registers()); !permitted)
        return std::unexpected(permitted.error());
    // A snapshot may say so, too.
    if (options.gic == 2 && options.cpus > layout::kMaxCpusGicV2)
        return failure("{} CPUs want a GICv3: a GICv2 has {} at most", options.cpus, layout::kMaxCpusGicV2);
    auto ram = make_ram(options);
    if (!ram) return std::unexpected(ram.error());
    if (flash == nullptr) {
        auto opened = FlashMemory::open(options);
        if (!opened) return std::unexpected(opened.error());
        flash = std::move(*opened);
    }
    std::unique_ptr<mmu::TagMemory> tags;
    if (options.cpu.value_or(CpuChoice{}).features.has(frontend::a64::Feature::Mte)) {
        auto made = mmu::TagMemory::make(options.memory);
        if (!made) return failure("cannot get memory for the tags of the guest's: {}", made.error());
        tags = std::move(*made);
    }
    std::unique_ptr<Machine> machine(
        new Machine(options, loop, std::move(*ram), std::move(flash), std::move(tags)));
    if (auto built = machine->build(serial, exit_status); !built) return std::unexpected(built.error());
    return machine;
}

Result<void> Machine::build(const BoardSerial& serial, ExitStatus* exit_status) {
    if (auto opened = open_trace(); !opened) return opened;
    make_engine();
    if (auto chosen = choose_accelerator(); !chosen) return chosen;
    print_accelerator();
    cpus_ = std::make_unique<CpuGroup>(*engine_);
    pause_control_ = std::make_unique<PauseControl>(
        PauseControl::Actions{.pause = [this] { return quiesce().has_value(); },
                              .go_on = [this] { go_on(); },
                              .say = print_message});
    services_ = std::make_unique<MachineServices>(
        *ram_, *pause_control_, options_.watchdog,
        MachineServices::Actions{.say = print_message,
                                 .reset = [this] { reset(); },
                                 .power_off = [this] { shut_down(End::PowerOff); },
                                 .power_key = [this] { power_key(); }});
    devices_ =
        std::make_unique<BoardDevices>(options_, loop_, memory_, *this, *this, services_.get(),
                                       devices::SharedRam{ram_->file(), layout::kRamBase, ram_->size()});
    if (auto made = make_semihosting(serial.first); !made) return made;
    if (!options_.gdb.empty())
        debugger_ = std::make_unique<MachineDebugger>(
            MachineDebugger::Parts{.cpus = *cpus_,
                                   .engine = *engine_,
                                   .memory = memory_,
                                   .bus = devices_->bus(),
                                   .pause = [this] { return pause(); },
                                   .go_on = [this] { resume(); },
                                   .power_off = [this] { stop(End::PowerOff); },
                                   .reset = [this] { stop(End::Reset); }},
            features_);
    make_cpus();
    if (auto added = devices_->add_peripherals(serial, exit_status, flash_.get()); !added) return added;
    for (unsigned i = 0; i < cpus_->size(); ++i)
        devices_->stateful_parts().add(fmt::format("cpu{}", i), cpus_->cpu(i));
    if (tags_ != nullptr) devices_->stateful_parts().add("tags", tag_state_.emplace(*tags_));
    return {};
}

Result<void> Machine::open_trace() {
    if (options_.trace.any()) {
        trace_file_.reset(options_.trace.file.empty() ? stderr
                                                      : std::fopen(options_.trace.file.c_str(), "w"));
        if (trace_file_ == nullptr)
            return failure("cannot write trace file '{}': {}", options_.trace.file, strerror(errno));
    }
    trace_.emplace(CpuTrace::Options{.exceptions = options_.trace.exceptions, .mmu = options_.trace.mmu},
                   trace_file_.get());
    return {};
}

void Machine::make_engine() {
    // The interpreter stands in tier 1's place.
    const bool interpret = options_.jit == JitTier::Interpreter;
    const JitTier tier = interpret                       ? JitTier::Tier1
                         : options_.jit != JitTier::Auto ? options_.jit
                         : jit::have_region_compiler()   ? JitTier::Tiered
                                                         : JitTier::Tier1;
    jit::Tier2Options tier2{.enabled = tier == JitTier::Tier2 || tier == JitTier::Tiered,
                            .synchronous = tier == JitTier::Tier2,
                            .max_insns = options_.jit_region,
                            .code_bytes = options_.jit_code_bytes,
                            .spectre = options_.spectre,
                            .dump_directory = options_.jit_dump,
                            .perf_map = options_.perf_map,
                            .cache_directory = options_.jit_cache,
                            .cache_key_file = options_.jit_cache_key,
                            .cache_key = options_.opened_cache_key,
                            .cache_bytes = options_.jit_cache_bytes,
                            .faults = options_.jit_faults,
                            .sample = options_.jit_sample,
                            .sample_seed = options_.jit_sample_seed};
    if (tier2.synchronous) tier2.threshold = 1;
    if (options_.jit_threshold) {
        tier2.heat = tier2.heat / tier2.threshold * *options_.jit_threshold;
        tier2.threshold = *options_.jit_threshold;
        tier2.patience = 1;
    }
    jit::SuperblockOptions superblocks{.enabled = tier == JitTier::Superblocks};
    if (options_.jit_threshold) superblocks.threshold = *options_.jit_threshold;
    const bool samples = !options_.jit_threshold && SamplingProfiler::available();
    tier2.sampled = tier2.enabled && !tier2.synchronous && samples;
    superblocks.sampled = superblocks.enabled && samples;
    // Longer ones, and side paths, are more copies of code than the host's caches hold (docs/performance.md).
    if (superblocks.sampled)
        superblocks.limits = {.insns = 64, .min_reach = 0.4, .sides = 0, .frequent = 0.4};
    const bool statistics = tier2.enabled && (options_.stats || !options_.stats_file.empty());
    if (statistics || tier2.sampled || superblocks.sampled)
        profiler_ = std::make_unique<SamplingProfiler>(statistics);
    tier2.make_compiler = [this] {
        auto compiler = jit::make_region_compiler();
        if (profiler_ != nullptr) profiler_->note_libraries();
        return compiler;
    };
    features_ = options_.cpu.value_or(CpuChoice{}).features;
    if (options_.gic != 3) features_ = features_.without(frontend::a64::Feature::Gic);
    frontend_ = frontend::a64::make_frontend(features_);
    // What counts or shows translations wants to see them made.
    const bool store =
        options_.jit_cache_blocks && !interpret && options_.profile_host.empty() && !options_.trace.any();
    engine_ = std::make_unique<jit::Engine>(
        *frontend_, memory_,
        jit::EngineOptions{.code_bytes = options_.code_cache,
                           .concurrent = options_.cpus > 1,
                           .spectre = options_.spectre,
                           .vector_registers = options_.registers == RegisterHome::Simd,
                           .profile_host = !options_.profile_host.empty(),
                           .memory_loops = options_.memory_loops,
                           .interpret = interpret,
                           .store_directory = store ? options_.jit_cache : "",
                           .store_key_file = options_.jit_cache_key,
                           .store_key = options_.opened_cache_key,
                           .store_bytes = options_.jit_cache_bytes,
                           .tier2 = tier2,
                           .superblocks = superblocks,
                           .trace_blocks = options_.trace.blocks,
                           .trace_ir = options_.trace.ir,
                           .trace_host = options_.trace.host,
                           .trace_file = trace_file_.get()});
    if (features_.has(frontend::a64::Feature::Mte)) jit::enable_tag_checks(engine_->code());
    // A slow path may wait for the other CPUs, and answers them meanwhile.
    if (table_pages_ != nullptr) engine_->code().set_grouping(false);
}

Result<void> Machine::choose_accelerator() {
    if (options_.fastmem == Fastmem::On && options_.jit == JitTier::Interpreter)
        return failure("--fastmem on: --jit interpreter does without");
    if (options_.fastmem == Fastmem::On && options_.accel == Accel::Process)
        return failure("--fastmem on needs the virtual machine's page tables: --accel kvm");
    backend::kvm::Probe probe;
    // Translated code in the virtual machine has guest registers in GuestState alone.
    const bool process = options_.accel == Accel::Process || options_.registers == RegisterHome::Simd;
    if (!process) {
        probe = backend::kvm::probe();
        if (options_.accel == Accel::Kvm && !probe.usable) return failure("--accel kvm: {}", probe.why_not);
    }
    accelerator_reason_ = options_.accel != Accel::Auto ? "as asked for"
                          : process                     ? "process: --registers simd"
                                                        : probe.reason();
    if (options_.accel == Accel::Kvm || (options_.accel == Accel::Auto && probe.preferred())) {
        // A fault costs a microsecond or two where ring 0 is native, and as much as hundreds of soft TLB
        // fills elsewhere. Addresses of more than 48 bits are never in fastmem.
        const bool wide =
            features_.has(frontend::a64::Feature::Lva) || features_.has(frontend::a64::Feature::Lpa2);
        const bool fastmem =
            options_.fastmem == Fastmem::On || (options_.fastmem == Fastmem::Auto && probe.native_ring0 &&
                                                !wide && options_.jit != JitTier::Interpreter);
        auto accelerator =
            backend::KvmAccelerator::create(engine_->code(), {.cpus = options_.cpus,
                                                              .native_ring0 = probe.native_ring0,
                                                              .fastmem = fastmem,
                                                              .fastmem_fault = &Vcpu::fastmem_fault});
        if (accelerator) {
            accelerator_ = std::move(*accelerator);
            if (options_.direct_memory != DirectMemoryUse::Off)
                print_message("--direct-memory is off: in the virtual machine --fastmem is its place");
            return {};
        }
        if (options_.accel == Accel::Kvm) return failure("--accel kvm: {}", accelerator.error());
        accelerator_reason_ = fmt::format("process: {}", accelerator.error());
    }
    if (options_.shadow.real_exits)
        return failure("--mmu-exits: there is no virtual machine to leave: --accel kvm");
    make_process_accelerator();
    return {};
}

void Machine::make_process_accelerator() {
    if (options_.direct_memory != DirectMemoryUse::Off) {
        const std::string why_not = why_not_direct(options_);
        if (why_not.empty()) {
            accelerator_ = std::make_unique<backend::ProcessAccelerator>(
                engine_->code(),
                backend::DirectMemory{.host = ram_->host(), .bytes = ram_->size(), .file = ram_->file()},
                options_.cpus);
            return;
        }
        print_message("--direct-memory is off: " + why_not);
    }
    accelerator_ = std::make_unique<backend::ProcessAccelerator>(engine_->code());
}

/// For a person who watches; a command's output stays the command's.
void Machine::print_accelerator() const {
    if (options_.accel == Accel::Auto && options_.command.empty() && isatty(STDERR_FILENO) != 0)
        fmt::print(stderr, "arclight: --accel auto chose {}\n", accelerator_reason_);
}

Result<void> Machine::make_semihosting(devices::CharBackend& console) {
    if (options_.semihosting == SemihostingAccess::Off) return {};
    auto directories = SemihostingDirectories::open(options_.semihosting_files);
    if (!directories) return failure("--semihosting-files: {}", directories.error());
    // The words of --append become arguments, as with QEMU.
    std::string command_line = options_.kernel;
    if (!options_.semihosting_arguments.empty())
        command_line = fmt::format("{}", fmt::join(options_.semihosting_arguments, " "));
    std::istringstream words(options_.append);
    for (std::string word; words >> word;) command_line += " " + word;
    // Its console's input is the serial port's: one reader of stdin, and Ctrl-A X works.
    const auto input = [this]() -> std::optional<uint8_t> {
        constexpr uint64_t kData = 0x00, kFlags = 0x18, kReceiveFifoEmpty = 1u << 4;
        devices::Pl011& uart = devices_->uart();
        if ((uart.read(kFlags, 4) & kReceiveFifoEmpty) != 0) return {};
        return static_cast<uint8_t>(uart.read(kData, 4));
    };
    semihosting_ = std::make_unique<Semihosting>(
        Semihosting::Options{.userspace = options_.semihosting == SemihostingAccess::Userspace,
                             .command_line = command_line,
                             .directories = std::move(*directories)},
        devices_->clock(),
        SemihostingConsole{.output = [&console](std::span<const uint8_t> bytes) { console.write(bytes); },
                           .input = input,
                           .input_ended = {}},
        [this] { stop(End::PowerOff); });
    return {};
}

void Machine::make_cpus() {
    // A virtual machine has RAM, but not what it has not been told of.
    const bool reach_tags = tags_ != nullptr && !accelerator_->in_virtual_machine();
    const uint64_t tag_bias = reach_tags ? tags_->bias(ram_->host()) : 0;
    for (unsigned i = 0; i < options_.cpus; ++i)
        cpus_->add({.engine = *engine_,
                    .accelerator = *accelerator_,
                    .memory = memory_,
                    .overlay = overlay_,
                    .bus = devices_->bus(),
                    .clock = devices_->clock(),
                    .peers = *cpus_,
                    .trace = *trace_,
                    .features = features_,
                    .identity = options_.cpu.value_or(CpuChoice{}).identity,
                    .table_pages = table_pages_.get(),
                    .gic = devices_->gic3(),
                    .timer = &devices_->timer(i),
                    .pmu = &devices_->pmu(i),
                    .firmware = &devices_->firmware(),
                    .contextidr_tracker = &contextidr_tracker_,
                    .semihosting = semihosting_.get(),
                    .debug = debugger_.get(),
                    .tag_bias = tag_bias},
                   {.index = i,
                    .cpus = options_.cpus,
                    .shadow = options_.shadow,
                    .count_instructions = options_.count_instructions,
                    .direct_memory_always = options_.direct_memory == DirectMemoryUse::Always,
                    .spin = options_.spin,
                    .record_sites = !options_.profile_sites.empty(),
                    .random_seed = options_.random_seed});
}

void Machine::bind_sites(std::span<const prepare::Site> sites, std::span<const uint8_t> image,
                         uint64_t start) {
    const auto bind = [&](prepare::Module&& module) {
        bound_sites_ = prepare::bind_sites(sites, image, start, *frontend_, module);
    };
    if (accelerator_->in_virtual_machine())
        bind(prepare::KvmModule(*engine_, cpus_->cpu(0).fastmem() != nullptr));
    else
        bind(prepare::ProcessModule(*engine_));
}

void Machine::fail(const std::string& why) {
    {
        const std::lock_guard guard(failure_lock_);
        if (failure_.empty()) failure_ = why;
    }
    stop(End::Failure);
}

Machine::End Machine::run(const BootState& boot) {
    if (semihosting_ != nullptr)
        semihosting_->set_heap(boot.largest_free_range(memory_.base(), memory_.size()));
    cpus_->cpu(0).power_on(boot.entry, boot.x0);
    return run();
}

Machine::End Machine::run() {
    if (profiler_ != nullptr) profiler_->set_code(engine_->code().base(), engine_->code().size());
    const devices::HostTimeWatch watch(
        devices_->clock(),
        {.host_suspend = options_.host_suspend,
         .busy_threads = std::min(options_.cpus, std::max(std::thread::hardware_concurrency(), 1u))},
        [this] { devices_->time_moved(); });
    cpus_->run(
        *accelerator_, [this](const std::string& why) { fail(why); }, profiler_.get());
    return end_;
}

void Machine::stop(End why) {
    End first = End::None;
    end_.compare_exchange_strong(first, why);
    if (semihosting_ != nullptr) semihosting_->stop();
    cpus_->stop();
    contextidr_tracker_.stop();
}

void Machine::reset() {
    if (options_.no_reboot)
        shut_down(End::Reset);
    else
        stop(End::Reset);
}

// The run would end.
void Machine::shut_down(End why) {
    if (!options_.pause_at_shutdown) {
        stop(why);
        return;
    }
    services_->tell_shutdown(why == End::Reset);
    pause_control_->pause(RunState::Shutdown);
}

void Machine::end_pause() { pause_control_->go_on(); }

bool Machine::while_cpus_stand(const std::function<void()>& look) {
    bool stood = false;
    pause_control_->between_changes([&](bool standing) {
        stood = standing || cpus_->pause();
        if (!stood) return;
        look();
        if (!standing) cpus_->resume();
    });
    return stood;
}

Result<void> Machine::quiesce() {
    if (!cpus_->pause()) return failure("the machine stops");
    devices_->stateful_parts().quiesce();
    return {};
}

void Machine::go_on() {
    devices_->stateful_parts().resume();
    cpus_->resume();
}

void Machine::ask_before_saves(std::function<std::optional<std::string>()> unsaved) {
    const std::lock_guard guard(unsaved_lock_);
    unsaved_ = std::move(unsaved);
}

Result<void> Machine::save(AfterSave after,
                           const std::function<Result<void>(std::span<const uint8_t> parts)>& take) {
    {
        const std::lock_guard guard(unsaved_lock_);
        if (auto why = unsaved_ ? unsaved_() : std::nullopt) return std::unexpected(std::move(*why));
    }
    Result<void> taken = failure("the machine stops");
    pause_control_->between_changes([&](bool standing) {
        if (!standing && !quiesce()) return;
        const auto parts = devices_->stateful_parts().save();
        taken = parts ? take(*parts) : std::unexpected(parts.error());
        if (taken && after == AfterSave::Stop)
            stop(End::Quit);
        else if (!standing)
            go_on();
    });
    return taken;
}

Result<MachineSnapshot> Machine::save(AfterSave after) {
    MachineSnapshot snapshot;
    const auto take = [&](std::span<const uint8_t> parts) -> Result<void> {
        snapshot.parts.assign(parts.begin(), parts.end());
        constexpr std::array<uint8_t, mmu::kPageSize> kZero{};
        for (uint64_t pa = memory_.base(); memory_.contains(pa, mmu::kPageSize); pa += mmu::kPageSize) {
            const uint8_t* bytes = memory_.host(pa, mmu::kPageSize);
            bool zero = true;
            const bool there =
                host::touch([&] { zero = std::memcmp(bytes, kZero.data(), kZero.size()) == 0; });
            if (there && zero) continue;
            MachineSnapshot::Page& page = snapshot.pages.emplace_back();
            page.pa = pa;
            if (!there || !host::touch([&] { std::memcpy(page.bytes.data(), bytes, mmu::kPageSize); }))
                return failure("the guest's memory at {:#x} is gone", pa);
        }
        return {};
    };
    if (auto saved = save(after, take); !saved) return std::unexpected(saved.error());
    return snapshot;
}

Result<void> Machine::load(std::span<const uint8_t> parts, const std::function<Result<void>()>& fill) {
    if (auto quiet = quiesce(); !quiet) return quiet;
    if (auto loaded = devices_->stateful_parts().load(parts); !loaded) return loaded;
    if (auto filled = fill(); !filled) return filled;
    // CPUs drop what they hold of both when they take up their new state.
    const jit::Engine::RetireHold hold(*engine_);
    engine_->invalidate_all();
    for (CrossCpuWork* work : cpus_->works()) work->post({CrossCpuWork::Request::Kind::ClearJumps}, nullptr);
    go_on();
    return {};
}

Result<void> Machine::load(const MachineSnapshot& snapshot) {
    for (const MachineSnapshot::Page& page : snapshot.pages)
        if (!memory_.contains(page.pa, mmu::kPageSize)) return failure("a page outside of RAM");
    return load(snapshot.parts, [&]() -> Result<void> {
        auto next = snapshot.pages.begin();
        for (uint64_t pa = memory_.base(); memory_.contains(pa, mmu::kPageSize); pa += mmu::kPageSize) {
            uint8_t* bytes = memory_.host(pa, mmu::kPageSize);
            const uint8_t* from =
                next != snapshot.pages.end() && next->pa == pa ? next++->bytes.data() : nullptr;
            const auto put = [&] {
                if (from != nullptr)
                    std::memcpy(bytes, from, mmu::kPageSize);
                else
                    std::memset(bytes, 0, mmu::kPageSize);
            };
            if (!host::touch(put)) return failure("the guest's memory at {:#x} is gone", pa);
        }
        return {};
    });
}

MachineStats Machine::stats() const {
    return {.engine = *engine_,
            .accelerator = *accelerator_,
            .accelerator_reason = accelerator_reason_,
            .cpus = *cpus_,
            .bus = devices_->bus(),
            .profiler = profiler_ != nullptr && profiler_->for_statistics() ? profiler_.get() : nullptr,
            .bound_sites = bound_sites_ ? &*bound_sites_ : nullptr,
            .started = started_,
            .instructions_counted = options_.count_instructions};
}

void Machine::forget_pages(std::span<const uint64_t> pages, bool content) {
    using Request = CrossCpuWork::Request;
    const jit::Engine::RetireHold hold(*engine_);
    if (content)
        for (const uint64_t pa : pages) engine_->invalidate(pa, mmu::kPageSize);
    else
        engine_->wait_for_readers();
    // Under traditional shadow paging nobody says which translations came from tables whose content changed.
    if (table_pages_ != nullptr)
        return cpus_->have_carried_out({Request::Kind::Tlbi, {.kind = mmu::TlbiRequest::Kind::All}, {}, {}});
    auto sorted = std::make_shared<std::vector<uint64_t>>(pages.begin(), pages.end());
    std::ranges::sort(*sorted);
    cpus_->have_carried_out({Request::Kind::ForgetPages, {}, {}, std::move(sorted)});
}

void Machine::forget_code(std::span<const uint64_t> pages, bool content, bool fetches) {
    using Request = CrossCpuWork::Request;
    const jit::Engine::RetireHold hold(*engine_);
    bool code = false;
    for (const uint64_t pa : pages)
        if (content)
            code |= engine_->invalidate(pa, mmu::kPageSize);
        else if (fetches)
            code |= engine_->page_has_code(pa);
    if (fetches && (code || content))
        cpus_->have_carried_out({Request::Kind::ForgetCode, {}, {}, {}});
    else if (code)
        cpus_->have_carried_out({Request::Kind::ClearJumps, {}, {}, {}});
}

Machine::Process Machine::wait_for_process(uint32_t id, std::chrono::milliseconds limit) {
    const ContextidrTracker::Answer answer = contextidr_tracker_.wait_for(id, limit);
    return {.translation = answer.translation, .kernel_tells = answer.kernel_tells};
}

// ---- devices::CpuInterruptSink, devices::CpuPower

void Machine::set_irq_line(unsigned cpu, bool irq, bool fiq) {
    if (cpu < cpus_->size()) cpus_->cpu(cpu).set_irq_line(irq, fiq);
}

void Machine::sgi_sent(unsigned sender, unsigned receiver) {
    if (receiver < cpus_->size() && sender != receiver) cpus_->cpu(receiver).hand_over().sgi_from(sender);
}

void Machine::interrupt_ended(unsigned cpu) {
    if (cpu < cpus_->size()) cpus_->cpu(cpu).interrupt_ended();
}

devices::PsciResult Machine::cpu_on(uint64_t target, uint64_t entry, uint64_t context) {
    const unsigned cpu = devices::layout::cpu_of(target);
    if (cpu >= cpus_->size()) return devices::PsciResult::InvalidParameters;
    Vcpu& vcpu = cpus_->cpu(cpu);
    if (!vcpu.powered_off()) return devices::PsciResult::AlreadyOn;
    vcpu.power_on(entry, context);
    return devices::PsciResult::Success;
}

void Machine::cpu_off(unsigned cpu) {
    if (cpu < cpus_->size()) cpus_->cpu(cpu).request_power_off();
}

int32_t Machine::affinity_info(uint64_t target, unsigned level) {
    const unsigned cpu = devices::layout::cpu_of(target);
    if (cpu >= cpus_->size() || level > 3)
        return static_cast<int32_t>(devices::PsciResult::InvalidParameters);
    return cpus_->cpu(cpu).powered_off() ? 1 : 0;
}

}  // namespace arclight::guestos
