#include "jit/engine/compile_worker.h"

#include <fmt/format.h>

#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "host/process_time.h"
#include "host/thread.h"

namespace arclight::jit {

namespace {
/// Failures in a row after which tier 2 stops: the next compilation would fail too.
constexpr unsigned kMaxFailuresInARow = 5;

/// A broken compiler cannot even be destroyed, see RegionCompiler::broken(). It stays where a search for
/// leaks finds it.
void leak_deliberately(std::unique_ptr<RegionCompiler> broken) {
    static std::mutex lock;
    static auto& leaked = *new std::vector<std::unique_ptr<RegionCompiler>>;
    const std::lock_guard guard(lock);
    leaked.push_back(std::move(broken));
}
}  // namespace

CompileWorker::CompileWorker(std::mutex& lock, const Tier2Options& options)
    : lock_(lock), options_(options) {}

CompileWorker::~CompileWorker() {
    stop();
    if (compiler_ != nullptr && compiler_->broken()) leak_deliberately(std::move(compiler_));
}

// ---- The thread

void CompileWorker::start(std::function<Pause(Lock&)> step) {
    try {
        thread_ =
            host::start_thread("tier 2", ThreadRole::Compiler, [this, step = std::move(step)] { run(step); });
    } catch (const std::system_error& e) {
        disable(fmt::format("no thread for it: {}", e.what()));
    }
}

void CompileWorker::run(const std::function<Pause(Lock&)>& step) {
    Lock lock(lock_);
    while (!stopping_ && !disabled_) {
        const Pause pause = step(lock);
        if (stopping_ || disabled_) break;  // a step may let go of the lock, and miss a wake()
        if (!pause.time)
            wake_.wait(lock);
        else if (pause.time->count() != 0)
            wake_.wait_for(lock, *pause.time);
    }
}

void CompileWorker::stop() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard guard(lock_);
        stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
}

// ---- The compiler

/// LLVM is loaded when it is needed first.
bool CompileWorker::have_compiler(Lock* lock) {
    if (compiler_ != nullptr) return true;
    if (lock != nullptr) lock->unlock();
    std::unique_ptr<RegionCompiler> compiler;
    std::string why;
    const auto start = host::thread_cpu_time();
    try {
        compiler = options_.make_compiler();
        on_compiler(*compiler);
    } catch (const std::exception& e) {
        compiler.reset();
        why = e.what();
    }
    const auto took = static_cast<uint64_t>((host::thread_cpu_time() - start).count());
    if (lock != nullptr) lock->lock();
    load_ns_ += took;
    if (compiler == nullptr)
        disable(why);
    else
        compiler_ = std::move(compiler);
    return compiler_ != nullptr;
}

template <typename Work>
CompileResult CompileWorker::measured(const Work& work) {
    const auto start = host::thread_cpu_time();
    CompileResult result;
    try {
        inject_fault();
        work(result);
    } catch (const std::exception& e) {
        result.failure = e.what();
    }
    result.ns = static_cast<uint64_t>((host::thread_cpu_time() - start).count());
    return result;
}

void CompileWorker::load_into(CompileResult& result) {
    if (result.object.empty()) return;
    result.code = compiler_->load(result.object);
    result.unloadable = !result.code;
    if (result.unloadable) result.failure = "a region's object file does not load";
}

CompileResult CompileWorker::compile(const Region& region, RegionDump* text) {
    return measured([&](CompileResult& result) {
        result.object = compiler_->compile(region, text);
        load_into(result);
    });
}

CompileResult CompileWorker::load(const std::string& object) {
    return measured([&](CompileResult& result) {
        result.object = object;
        load_into(result);
    });
}

void CompileWorker::unload(uint64_t handle) {
    if (!compiler_->broken()) compiler_->unload(handle);
}

// ---- Failures

void CompileWorker::inject_fault() {
    if (options_.faults == 0 || ++attempts_ % options_.faults != 0) return;
    if (attempts_ / options_.faults % 2 == 0) throw std::runtime_error("as asked for");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

void CompileWorker::note(const CompileResult& result) {
    if (result.failure.empty()) {
        failures_in_a_row_ = 0;
        return;
    }
    ++failed_;
    ++failures_in_a_row_;
    if (compiler_->broken())
        disable(result.failure);
    else if (failures_in_a_row_ >= kMaxFailuresInARow)
        disable(fmt::format("{} failures in a row, the last: {}", failures_in_a_row_, result.failure));
}

void CompileWorker::disable(const std::string& why) {
    if (disabled_) return;
    disabled_ = true;
    on_disabled();
    fmt::print(stderr, "arclight: tier 2 has stopped, the guest goes on in tier 1: {}\n", why);
}

}  // namespace arclight::jit
