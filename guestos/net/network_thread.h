#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "devices/net_backend.h"

namespace arclight::guestos {

/// What back ends of networks have in common: a thread (ThreadRole::Network) from connect() on, that others wake and drain.
class NetworkThread : public devices::NetBackend {
  public:
    ~NetworkThread() override;
    NetworkThread(const NetworkThread&) = delete;
    NetworkThread& operator=(const NetworkThread&) = delete;

    void connect(devices::NetGuest* guest) final;
    void wake() final;
    void drain() final;

  protected:
    NetworkThread();

    // ---- On the thread
    /// Waits for what there is to do and does it: frames from the network go to guest(). `wait` false: the guest may have more
    /// to send, and nothing is waited for.
    virtual void turn(bool wait) = 0;
    /// Whether send() takes frames now. While it does not, the guest's stay in its queue.
    virtual bool can_send() const { return true; }
    /// The guest's frames of this turn have been sent.
    virtual void sent() {}
    /// To be polled for input; took_wake() follows.
    int wake_fd() const { return wake_fd_; }
    void took_wake();

    /// Null before connect().
    devices::NetGuest* guest() const { return guest_; }

  private:
    void work();
    void finish_drains();

    const int wake_fd_;
    devices::NetGuest* guest_ = nullptr;  // set while no thread runs
    std::atomic<bool> awake_{false};      // the thread has been woken and has not looked yet
    std::atomic<bool> quit_{false};
    std::mutex lock_;
    std::condition_variable drained_;
    uint64_t drains_wanted_ = 0, drains_done_ = 0;
    std::thread thread_;
};

}  // namespace arclight::guestos
