#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "devices/layout.h"

namespace arclight::devices {

class FdtWriter;

namespace detail {
inline thread_local unsigned current_cpu = 0;
}
/// Which virtual CPU the calling thread is acting for. Registers banked by CPU (GICv2) depend on it.
inline unsigned current_cpu() { return detail::current_cpu; }
inline void set_current_cpu(unsigned cpu) { detail::current_cpu = cpu; }

/// A block of memory-mapped registers. Calls arrive from any thread; each device does its own locking. Any
/// offset inside the mapping, aligned or not, and any size of 1, 2, 4 or 8 must be survived.
class Device {
  public:
    virtual ~Device() = default;
    virtual uint64_t read(uint64_t offset, unsigned size) = 0;
    virtual void write(uint64_t offset, uint64_t value, unsigned size) = 0;
    virtual void reset() {}
    /// Writes the device's own node, so that the machine description cannot drift from the device.
    virtual void add_to_device_tree(FdtWriter&) const {}
};

/// The physical address map of everything that is not RAM. Filled at set-up; while CPUs run, only which
/// device answers in a mapping may change.
class Bus {
  public:
    struct Stats {
        std::string name;
        uint64_t reads;
        uint64_t writes;
    };

    /// What answers in one range; for whoever accesses it again and again. Accesses are counted like all
    /// others.
    class Mapping {
      public:
        bool contains(uint64_t pa, unsigned size) const {
            const uint64_t offset = pa - base_;
            return offset < size_ && size <= size_ - offset;
        }
        /// False: accesses fail (intercept()).
        bool answers() const { return device_.load(std::memory_order_relaxed) != nullptr; }
        /// All of the access is inside.
        uint64_t read(uint64_t pa, unsigned size) {
            count(&Counters::reads);
            Device* device = device_.load(std::memory_order_acquire);
            return device != nullptr ? device->read(pa - base_, size) : ~uint64_t{0};
        }
        void write(uint64_t pa, unsigned size, uint64_t value) {
            count(&Counters::writes);
            if (Device* device = device_.load(std::memory_order_acquire))
                device->write(pa - base_, value, size);
        }

      private:
        friend class Bus;
        // By CPU, since a locked addition costs as much as a register's access. Each has one writer.
        struct alignas(64) Counters {
            std::atomic<uint64_t> reads{0}, writes{0};
        };
        void count(std::atomic<uint64_t> Counters::*which) {
            auto& counter = counters_[current_cpu() % layout::kMaxCpus].*which;
            counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        }
        uint64_t base_ = 0;
        uint64_t size_ = 0;
        std::atomic<Device*> device_{nullptr};
        Device* own_ = nullptr;  // as mapped
        std::string name_;
        unsigned order_ = 0;
        std::array<Counters, layout::kMaxCpus> counters_;
    };

    // Ranges must not overlap; false if this one does, or is empty, or wraps.
    bool map(uint64_t base, uint64_t size, Device& device, std::string_view name);

    // False: nothing answers there, or size is not 1, 2, 4 or 8 (the CPU takes an external abort).
    bool read(uint64_t pa, unsigned size, uint64_t& out);
    bool write(uint64_t pa, unsigned size, uint64_t value);

    // The mapping that holds all of the access, or nullptr. It lives as long as the bus.
    Mapping* lookup(uint64_t pa, unsigned size) const;

    // The device at pa and the offset inside it, or nullptr. Calls made on it directly are not counted.
    Device* find(uint64_t pa, uint64_t* offset) const;

    // Lets another device answer at the mapping of this name; none (nullptr): accesses fail. An access that
    // has begun ends where it began. False: there is no such mapping.
    bool intercept(std::string_view name, Device* device);
    // Back to the device that was mapped.
    bool restore(std::string_view name);

    void reset();
    // Nodes appear in the order of map() calls.
    void add_to_device_tree(FdtWriter& fdt) const;
    std::vector<Stats> stats() const;

  private:
    Mapping* named(std::string_view name) const;

    std::vector<std::unique_ptr<Mapping>> mappings_;  // sorted by base
};

}  // namespace arclight::devices
