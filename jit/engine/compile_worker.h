// The thread that compiles, its compiler, and what becomes of tier 2 when compilations fail.
//
// Nothing here can fail the guest: what cannot be compiled stays in tier 1, and if nothing can, tier 2 stops.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "jit/engine/tier2_options.h"
#include "jit/llvm/region_compiler.h"

namespace arclight::jit {

/// What comes of a compilation, or of loading an object file.
struct CompileResult {
    std::optional<RegionCode> code;
    std::string object;       ///< empty: the compiler knows no code for the region
    std::string failure;      ///< why there is no code; empty: nothing failed
    uint64_t ns = 0;          ///< CPU time
    bool unloadable = false;  ///< the object file does not load
};

class CompileWorker {
  public:
    /// `lock`: the engine's.
    CompileWorker(std::mutex& lock, const Tier2Options& options);
    /// A compiler that broke is leaked deliberately.
    ~CompileWorker();
    CompileWorker(const CompileWorker&) = delete;
    CompileWorker& operator=(const CompileWorker&) = delete;

    using Lock = std::unique_lock<std::mutex>;
    /// Called when a compiler was made, without the lock.
    std::function<void(RegionCompiler&)> on_compiler = [](RegionCompiler&) {};
    /// Called when tier 2 stops for good, with the lock.
    std::function<void()> on_disabled = [] {};

    /// What the thread does after a step.
    struct Pause {
        /// Until then, or until wake() is called; nothing: until wake() is called. Zero: goes on at once.
        std::optional<std::chrono::milliseconds> time;
    };
    static constexpr Pause kGoOn{std::chrono::milliseconds(0)};
    static constexpr Pause kUntilWoken{std::nullopt};
    /// Starts the thread, which calls step() again and again, with the lock held.
    void start(std::function<Pause(Lock&)> step);
    /// With the lock held: there is something to do.
    void wake() { wake_.notify_one(); }
    /// Without the lock. The thread has ended when it returns.
    void stop();

    /// Makes the compiler if there is none, without the lock meanwhile. `lock` is null where the caller keeps
    /// it. False: it cannot be made, and tier 2 has stopped.
    bool have_compiler(Lock* lock);
    /// Whether it is there already.
    bool has_compiler() const { return compiler_ != nullptr; }

    // ---- Without the lock, have_compiler() having returned true
    CompileResult compile(const Region& region, RegionDump* text);
    CompileResult load(const std::string& object);

    // ---- With the lock
    /// Counts failures, and disables tier 2 after too many in a row.
    void note(const CompileResult& result);
    void unload(uint64_t handle);
    bool disabled() const { return disabled_; }
    uint64_t failed() const { return failed_; }
    /// CPU time that making the compiler took.
    uint64_t load_ns() const { return load_ns_; }

  private:
    template <typename Work>
    CompileResult measured(const Work& work);
    void load_into(CompileResult& result);
    void inject_fault();
    void disable(const std::string& why);
    void run(const std::function<Pause(Lock&)>& step);

    std::mutex& lock_;
    const Tier2Options& options_;
    std::unique_ptr<RegionCompiler> compiler_;
    unsigned failures_in_a_row_ = 0;
    unsigned attempts_ = 0;  ///< for Tier2Options::faults
    uint64_t failed_ = 0, load_ns_ = 0;
    bool disabled_ = false;
    bool stopping_ = false;
    std::condition_variable wake_;
    std::thread thread_;
};

}  // namespace arclight::jit
