// Sets of the host's cores, and which of them the threads of this process run on.
#pragma once

#include <sched.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "host/thread_role.h"

namespace arclight::host {

class CoreSet {
  public:
    CoreSet() { CPU_ZERO(&set_); }
    /// "0-3,8": the kernel's form of lists. Nothing: it is none.
    static std::optional<CoreSet> parse(std::string_view list);
    /// Those that the calling thread may run on.
    static CoreSet permitted();
    /// Those that share the last level of cache with `core`, as sysfs (`root`) says; at least that one.
    static CoreSet sharing_cache(unsigned core, const std::string& root = "/sys");

    void add(unsigned core) { CPU_SET(core, &set_); }
    bool contains(unsigned core) const { return CPU_ISSET(core, &set_) != 0; }
    unsigned count() const { return static_cast<unsigned>(CPU_COUNT(&set_)); }
    /// In the form that parse() takes.
    std::string text() const;
    const cpu_set_t& set() const { return set_; }
    bool operator==(const CoreSet& other) const { return CPU_EQUAL(&set_, &other.set_) != 0; }

  private:
    cpu_set_t set_;
};

/// Whose threads are placed together.
enum class ThreadGroup : uint8_t {
    Vcpus,     ///< virtual CPUs
    Compiler,  ///< tier 2
    Devices,   ///< all others
    Count
};
ThreadGroup group_of(ThreadRole role);

/// By ThreadGroup; nothing: where the process may run.
using Placement = std::array<std::optional<CoreSet>, static_cast<size_t>(ThreadGroup::Count)>;

/// From now on the threads that start_thread() has started and will start, and the calling one as one of Devices, run on these
/// cores. Groups without a set stay as they are. Any thread. False: the host refuses some of them (errno says why).
bool place_threads(const Placement& placement);
/// As place_threads() has said so far.
Placement placement();
/// How many cores the virtual CPUs were given; 0: they were not placed. Any thread, no lock.
unsigned cores_of_vcpus();

/// The calling thread, one of Vcpus, goes on on a core that it may run on and that is not one of `taken`; which ones it may run on
/// stays as it is. The kernel offers no word for that but two changes of the set: what another process changes between
/// them, some microseconds, is lost. False: there is no such core, or threads are placed just now (nobody waits for that).
bool go_to_core_outside(const CoreSet& taken);

/// For start_thread(), at the beginning and the end of each thread.
class PlacedThread {
  public:
    explicit PlacedThread(ThreadRole role);
    ~PlacedThread();
    PlacedThread(const PlacedThread&) = delete;
    PlacedThread& operator=(const PlacedThread&) = delete;
};

/// Memory that is allocated from now on comes from the node of these cores, if they are of one node and the host has several.
void prefer_node_of(const CoreSet& cores, const std::string& root = "/sys");

}  // namespace arclight::host
