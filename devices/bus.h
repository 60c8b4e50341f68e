#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
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

/// The physical address map of everything that is not RAM. Windows can be placed, moved and taken away while
/// CPUs run, as PCI's base address registers do. Readers take no lock.
///
/// Each change of the map is a new epoch. Whoever caches what lookup() returned notes the epoch before the
/// call and asks again once the bus has another: within an epoch the answer for an address stays the same. A
/// cached mapping stays valid memory as long as the bus lives and never reaches a device at an address that
/// is not its own any more.
class Bus {
  public:
    struct Stats {
        std::string name;
        uint64_t reads;
        uint64_t writes;
        uint64_t base;  ///< or Mapping::kNowhere
        uint64_t size;
    };

    /// A window of one device: its place, what answers there, and how often it was accessed.
    class Mapping {
      public:
        bool contains(uint64_t pa, unsigned size) const { return offset_of(pa, size) != kOutside; }
        /// False: accesses fail, since intercept() has put nothing in the device's place.
        bool answers() const { return device_.load(std::memory_order_relaxed) != nullptr; }
        /// All of the access is inside, else it has no effect and reads as ones: the window has moved
        /// meanwhile.
        uint64_t read(uint64_t pa, unsigned size) {
            count(&Counters::reads);
            Device* device = device_.load(std::memory_order_acquire);
            const uint64_t offset = offset_of(pa, size);
            return device != nullptr && offset != kOutside ? device->read(offset, size) : ~uint64_t{0};
        }
        void write(uint64_t pa, unsigned size, uint64_t value) {
            count(&Counters::writes);
            Device* device = device_.load(std::memory_order_acquire);
            const uint64_t offset = offset_of(pa, size);
            if (device != nullptr && offset != kOutside) device->write(offset, value, size);
        }
        uint64_t size() const { return size_; }
        /// Where it is, or kNowhere.
        uint64_t base() const { return base_.load(std::memory_order_acquire); }
        static constexpr uint64_t kNowhere = ~uint64_t{0};

      private:
        friend class Bus;
        // By CPU, since a locked addition costs as much as a register's access. Each has one writer.
        struct alignas(64) Counters {
            std::atomic<uint64_t> reads{0}, writes{0};
        };
        static constexpr uint64_t kOutside = ~uint64_t{0};
        // By one reading of the base, which may change at any time.
        uint64_t offset_of(uint64_t pa, unsigned size) const {
            const uint64_t base = base_.load(std::memory_order_acquire);
            const uint64_t offset = pa - base;
            return base != kNowhere && offset < size_ && size <= size_ - offset ? offset : kOutside;
        }
        void count(std::atomic<uint64_t> Counters::*which) {
            auto& counter = counters_[current_cpu() % layout::kMaxCpus].*which;
            counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        }
        std::atomic<uint64_t> base_{kNowhere};
        uint64_t size_ = 0;
        std::atomic<Device*> device_{nullptr};
        Device* own_ = nullptr;  // as mapped
        std::string name_;
        std::array<Counters, layout::kMaxCpus> counters_;
    };

    Bus();
    ~Bus();

    /// A window for a device, not yet anywhere. It lives as long as the bus; the device must too.
    Mapping& add(uint64_t size, Device& device, std::string_view name);
    /// Puts the window there, wherever it was. False, and the window stays where it is, if the range is empty
    /// or wraps or overlaps another window.
    bool place(Mapping& window, uint64_t base);
    /// An access that has begun ends where it began; later ones find nothing.
    void unmap(Mapping& window);
    /// add() and place(). False: place() failed, and no window was added.
    bool map(uint64_t base, uint64_t size, Device& device, std::string_view name);

    /// Grows with each change of the map, and is odd during one.
    uint32_t epoch() const { return sequence_.load(std::memory_order_acquire); }

    /// Before CPUs run. Where no window is in this range reads are ones and writes have no effect.
    void add_open_range(const layout::Range& range) { open_ranges_.push_back(range); }

    /// False: nothing answers there, or size is not 1, 2, 4 or 8 (the CPU takes an external abort).
    bool read(uint64_t pa, unsigned size, uint64_t& out);
    bool write(uint64_t pa, unsigned size, uint64_t value);

    /// The mapping that holds all of the access, or nullptr.
    Mapping* lookup(uint64_t pa, unsigned size) const;

    /// Lets another device answer at the mapping of this name; none (nullptr): accesses fail. An access that
    /// has begun ends where it began. False: there is no such mapping.
    bool intercept(std::string_view name, Device* device);
    /// Back to the device that was mapped.
    bool restore(std::string_view name);

    void reset();
    /// Nodes appear in the order of map() and add() calls.
    void add_to_device_tree(FdtWriter& fdt) const;
    /// By address; windows that are nowhere come last.
    std::vector<Stats> stats() const;

  private:
    struct Entry {
        std::atomic<uint64_t> base{0};
        std::atomic<Mapping*> mapping{nullptr};
    };
    struct Table {
        explicit Table(size_t capacity) : entries(capacity) {}
        std::atomic<size_t> count{0};
        std::vector<Entry> entries;  // sorted by base
    };

    Mapping* find(uint64_t pa) const;
    Mapping* named(std::string_view name) const;
    bool fits(uint64_t base, uint64_t size, const Mapping* except) const;
    bool in_open_range(uint64_t pa, unsigned size) const;
    std::vector<Mapping*> placed() const;
    void publish();

    mutable std::mutex lock_;                         // of whoever changes the map
    std::vector<std::unique_ptr<Mapping>> mappings_;  // in the order of add()
    std::vector<layout::Range> open_ranges_;
    // A sequence lock over the table. A table that was outgrown stays, for readers that are late.
    std::vector<std::unique_ptr<Table>> tables_;
    std::atomic<uint32_t> sequence_{0};
    std::atomic<const Table*> table_{nullptr};
};

}  // namespace arclight::devices
