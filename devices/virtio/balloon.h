#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "devices/event_loop.h"
#include "devices/machine_host.h"
#include "devices/virtio/transport.h"

namespace arclight::devices::virtio {

/// Memory balloon (virtio 1.2 section 5.5): the guest gives pages back that the user asks for, and reports those that it has free.
/// The host has their memory from then on; the guest may use reported pages at any time, and finds zeros there.
class Balloon final : public Backend {
  public:
    struct Options {
        uint64_t ram_bytes = 0;       ///< of the machine
        bool deflate_on_oom = false;  ///< a guest short of memory takes pages back by itself
        bool free_page_reporting = false;
        bool page_poison = true;      ///< the guest tells with what it fills free pages
        MachineHost* host = nullptr;  ///< null: nobody takes pages
    };
    /// What the guest tells of its memory (5.5.6.4): one of kStatistics, and its value.
    static constexpr unsigned kStatistics = 10;
    struct Statistics {
        /// By tag; nothing: the guest does not tell it.
        std::array<std::optional<uint64_t>, kStatistics> values;
        int64_t updated = 0;  ///< seconds since 1970; 0: never
    };
    /// QEMU's name of a statistic.
    static std::string_view statistic_name(unsigned tag);

    static constexpr unsigned kMaxPollSeconds = 86400;

    Balloon(EventLoop& loop, const Options& options);

    // ---- For whoever controls the machine; any thread.
    /// The guest shall have as much memory. Rounded down to whole pages; more than the machine has is all of it.
    void set_target(uint64_t bytes);
    /// What the guest has now, by its own account.
    uint64_t actual() const;
    /// The guest is asked for its statistics so often; 0: no more.
    void set_poll_interval(unsigned seconds);
    unsigned poll_interval() const { return poll_seconds_.load(std::memory_order_relaxed); }
    Statistics statistics() const;

    std::string_view name() const override { return "virtio-balloon"; }
    uint32_t device_id() const override { return 5; }
    uint64_t features() const override;
    std::vector<QueueDescription> queues() const override;
    uint8_t read_config(uint64_t offset) override;
    void write_config(uint64_t offset, uint8_t value) override;
    void activate(Transport& transport) override;
    void reset() override;
    Served process(unsigned queue, Chain& chain) override;
    void notified(unsigned queue) override;

    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    /// The configuration space (5.5.4).
    struct Config {
        uint32_t wanted_pages = 0;  ///< how many the guest shall give
        uint32_t given_pages = 0;   ///< how many it has given, as it says
        uint32_t poison = 0;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.wanted_pages, self.given_pages, self.poison);
        }
    };

    void inflate(const Chain& chain);
    void take_reported(const Chain& chain);
    void give_back(std::span<uint8_t> host_memory);
    void read_statistics(const Chain& chain);
    void ask_for_statistics();
    void look_at_statistics(Transport& transport);
    Transport* transport() const;

    const Options options_;
    mutable std::mutex lock_;
    Transport* transport_ = nullptr;  // under lock_, as the next two
    Config config_;
    Statistics statistics_;
    std::atomic<unsigned> poll_seconds_{0};
    EventLoop::Timer poll_;  // last: destroyed first, while the rest still stands
};

}  // namespace arclight::devices::virtio
