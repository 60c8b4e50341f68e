#include "guestos/machine/board/cpu_group.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "host/cores.h"
#include "host/thread.h"

namespace arclight::guestos {

namespace {
unsigned host_cores() {
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) == 0
               ? static_cast<unsigned>(CPU_COUNT(&cores))
               : std::max(1u, std::thread::hardware_concurrency());
}

/// A CPU that halts does not notify whoever stops the world.
constexpr std::chrono::milliseconds kHaltPoll{1};
}  // namespace

CpuGroup::CpuGroup(jit::Engine& engine) : engine_(engine), host_cores_(host_cores()) {}

CpuGroup::~CpuGroup() { engine_.stop_compiling(); }  // it looks at the CPUs

Vcpu& CpuGroup::add(const CpuContext& context, const VcpuOptions& options) {
    owned_.push_back(std::make_unique<Vcpu>(context, options));
    cpus_.push_back(owned_.back().get());
    works_.push_back(&owned_.back()->work());
    return *owned_.back();
}

void CpuGroup::run(backend::Accelerator& accelerator, const std::function<void(const std::string&)>& failed,
                   SamplingProfiler* profiler) {
    const bool elsewhere = profiler != nullptr && accelerator.on_interrupted(SamplingProfiler::interrupted);
    const ThreadRole role = accelerator.in_virtual_machine() ? ThreadRole::KvmVcpu : ThreadRole::Vcpu;
    std::vector<std::thread> threads;
    for (Vcpu* cpu : cpus_)
        threads.push_back(host::start_thread(fmt::format("cpu {}", cpu->index()), role, [&, cpu] {
            std::optional<SamplingProfiler::Thread> samples;
            if (profiler != nullptr) samples.emplace(*profiler, *cpu, elsewhere);
            const auto ran = accelerator.run_thread(cpu->index(), [cpu] { cpu->thread_main(); });
            cpu->work().abandon();
            if (!ran) failed(ran.error());
        }));
    for (std::thread& t : threads) t.join();
}

void CpuGroup::stop() {
    stopping_ = true;
    for (Vcpu* cpu : cpus_) cpu->stop_waiting();
    const std::lock_guard guard(world_lock_);
    world_changed_.notify_all();
}

bool CpuGroup::short_of_cores() const {
    const unsigned placed = host::cores_of_vcpus();
    return static_cast<unsigned>(std::ranges::count_if(cpus_, [](const Vcpu* v) { return !v->halted(); })) >
           (placed != 0 ? placed : host_cores_);
}

void CpuGroup::have_carried_out(const CrossCpuWork::Request& request) {
    CrossCpuWork::Batch batch;
    for (CrossCpuWork* work : works_) work->post(request, &batch);
    CrossCpuWork::wait(batch, works_);
}

// ---- Stopping the world

// A CPU at the safepoint counts as halted: it looks at requests before it runs guest code again. So a CPU
// that waits for its answer to a broadcast does not wait for the end of the exclusive work, which may itself
// wait for that CPU.
void CpuGroup::wait_at_safepoint(Vcpu& self) {
    const Vcpu::Rest rest(self);
    std::unique_lock guard(world_lock_);
    world_changed_.notify_all();
    world_changed_.wait(guard, [&] { return !safepoint_ || stopping(); });
}

void CpuGroup::flush_code(Vcpu& self) {
    if (!try_flush_code(self)) safepoint(self);  // another one has stopped the world: take part, look again
}

/// False: another one has stopped the world.
bool CpuGroup::try_flush_code(Vcpu& self) {
    const Vcpu::Halt halt(self);
    std::unique_lock guard(world_lock_);
    if (safepoint_) return false;
    safepoint_ = true;
    for_each_other(self, [](Vcpu& v) { v.kick(); });
    const auto others_are_out = [&] {
        bool out = true;
        for_each_other(self, [&](const Vcpu& v) { out = out && v.halted(); });
        return out || stopping();
    };
    // One that wakes up was kicked, and comes to the safepoint before it runs guest code.
    while (!others_are_out()) world_changed_.wait_for(guard, kHaltPoll);
    if (!stopping()) {
        engine_.flush();
        self.forget_code();
        for_each_other(self,
                       [](Vcpu& v) { v.work().post({CrossCpuWork::Request::Kind::ForgetCode}, nullptr); });
    }
    safepoint_ = false;
    world_changed_.notify_all();
    return true;
}

bool CpuGroup::pause() {
    std::unique_lock guard(world_lock_);
    world_changed_.wait(guard, [&] { return !safepoint_ || stopping(); });
    if (stopping()) return false;
    safepoint_ = true;
    for (Vcpu* cpu : cpus_) cpu->kick();
    const auto all_rest = [&] {
        return std::ranges::all_of(cpus_, [](const Vcpu* v) { return v->at_rest(); });
    };
    while (!all_rest() && !stopping()) world_changed_.wait_for(guard, kHaltPoll);
    return !stopping();
}

void CpuGroup::resume() {
    const std::lock_guard guard(world_lock_);
    safepoint_ = false;
    world_changed_.notify_all();
}

}  // namespace arclight::guestos
