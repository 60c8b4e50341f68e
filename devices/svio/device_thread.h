#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "devices/svio/fair_clock.h"
#include "devices/svio/resource.h"
#include "devices/svio/token_bucket.h"
#include "mmu/result.h"

namespace arclight::devices::svio {

struct InterfaceOptions {
    std::string name;
    uint32_t weight = 1;  ///< 1 to FairClock::kMaxWeight
    uint64_t rate = 0;    ///< bytes a second that the guest sends (of a disk: reads and writes); 0: no limit
    uint64_t burst = 0;   ///< bytes that may come at once; 0: those of 20 ms
    PortOptions port = {};
};

/// Self-virtualized I/O (Raj and Schwan, HPDC 2007): one thread owns a resource and serves any number of virtual interfaces, each of which
/// is two queues of messages in its guest's memory and signals both ways. Guests are other processes, which connect to an interface's
/// socket as vhost-user front ends; no thread of theirs touches data. The thread looks at the queues while there is work and for a while
/// after that; then it asks to be notified, and sleeps.
///
/// Between interfaces it shares itself by their weights (FairClock), a few messages at a time, and holds each to its rate (TokenBucket).
class DeviceThread {
  public:
    struct Options {
        std::chrono::microseconds poll{50};  ///< how long it looks for more before it sleeps, at most
        std::function<void(const std::string&)> say;  ///< on its thread: one line about an interface's guest
    };
    struct InterfaceReport {
        InterfaceOptions options;
        bool connected = false, failed = false;
        Counts counts;
    };
    struct Report {
        uint64_t cpu_ns = 0;    ///< of the thread
        uint64_t messages = 0;  ///< served
        uint64_t sleeps = 0;
        std::vector<InterfaceReport> interfaces;
    };
    static constexpr size_t kMaxInterfaces = 64;

    /// An error is one line.
    static Result<std::unique_ptr<DeviceThread>> start(std::unique_ptr<Resource> resource, Options options);
    /// Guests lose their devices.
    ~DeviceThread();

    // ---- Any thread but its own; they return when the device thread has done it. Errors are one line.
    /// Guests connect to `listener`, which becomes the interface's if this succeeds: one at a time.
    Result<void> add(const InterfaceOptions& options, int listener);
    Result<void> remove(const std::string& name);
    /// Of interface `options.name`: weight, rate and burst.
    Result<void> change(const InterfaceOptions& options);
    Report report();

  private:
    struct Interface;
    DeviceThread(std::unique_ptr<Resource> resource, Options options);

    /// Calls f() on the device thread.
    void on_thread(const std::function<void()>& f);
    Interface* find(const std::string& name);
    static void set_share(Interface& interface, const InterfaceOptions& options);

    void work();
    bool serve_next();
    bool arm();
    void disarm();
    /// Waits for this long at most; negative: until something comes.
    void take_events(int64_t wait_ns);
    void take_event(uint64_t tag);
    void accept_guest(Interface& interface);
    void serve_front_end(Interface& interface);
    void end_guest(Interface& interface);
    void run_posted();

    const std::unique_ptr<Resource> resource_;
    const Options options_;
    int epoll_ = -1, wake_ = -1;

    // ---- The thread's
    std::vector<std::unique_ptr<Interface>> interfaces_;
    FairClock clock_;
    uint32_t next_id_ = 1;
    int64_t next_ready_ns_ = 0;  ///< when the first one that its rate holds back may go on; INT64_MAX: none
    uint64_t messages_ = 0, sleeps_ = 0;

    std::mutex lock_;
    std::vector<std::function<void()>> posted_;
    std::atomic<bool> any_posted_{false}, quit_{false};
    std::thread thread_;
};

}  // namespace arclight::devices::svio
