// observe: counts the accesses to its pages. `exact` counts each one: the pages are never in a soft TLB, so every access
// takes the slow path. `sampled` counts the intervals in which a page was accessed or written; accesses after the first in
// an interval run at full speed.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>

#include "mmu/lightv/kinds.h"
#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {
namespace {

struct Counters {
    std::atomic<uint64_t> reads{0}, writes{0}, fetches{0}, device{0};
    uint64_t total() const { return reads + writes + fetches; }
};

class Observe final : public Module {
  public:
    Observe(bool exact, unsigned interval, size_t trace)
        : exact_(exact), interval_(interval), trace_(trace) {}

    Result<void> attach(Host& host) override {
        pages_ = host.pages();
        counters_ = std::vector<Counters>(pages_.size());
        const uint8_t flags = exact_ ? page_flag::kUncached | page_flag::kWatched : page_flag::kTracked;
        for (const uint64_t pa : pages_) host.set(pa, flags, this);
        return host.commit(pages_, true);  // fetches of existing blocks were not counted
    }

    bool access(const AccessEvent& event) override {
        const auto at = std::ranges::lower_bound(pages_, event.pa & ~(PageOverlay::kPage - 1));
        Counters& c = counters_[static_cast<size_t>(at - pages_.begin())];
        auto& counter = event.kind == AccessEvent::Kind::Write  ? c.writes
                        : event.kind == AccessEvent::Kind::Read ? c.reads
                                                                : c.fetches;
        counter.fetch_add(1, std::memory_order_relaxed);
        if (event.cpu == AccessEvent::kDevice) c.device.fetch_add(1, std::memory_order_relaxed);
        if (trace_ != 0) {
            const std::lock_guard guard(trace_lock_);
            if (events_.size() == trace_) events_.pop_front();
            events_.push_back(event);
        }
        return true;
    }

    unsigned interval_ms() const override { return exact_ ? 0 : interval_; }
    void tick(Host& host) override {
        ++samples_;
        for (size_t i = 0; i < pages_.size(); ++i) {
            const uint8_t marks = host.take_marks(pages_[i]);
            if ((marks & PageOverlay::kDirty) != 0)
                ++counters_[i].writes;
            else if ((marks & PageOverlay::kAccessed) != 0)
                ++counters_[i].reads;
        }
        (void)host.commit(pages_, false);
    }

    Json stats(Host&) override {
        uint64_t reads = 0, writes = 0, fetches = 0, device = 0, touched = 0;
        std::vector<size_t> order;
        for (size_t i = 0; i < counters_.size(); ++i) {
            const Counters& c = counters_[i];
            reads += c.reads, writes += c.writes, fetches += c.fetches, device += c.device;
            touched += c.total() != 0;
            if (c.total() != 0) order.push_back(i);
        }
        Json out = {
            {"mode", exact_ ? "exact" : "sampled"}, {"pages", pages_.size()}, {"pages_used", touched}};
        if (exact_)
            out.update({{"reads", reads}, {"writes", writes}, {"fetches", fetches}, {"by_devices", device}});
        else
            out.update({{"samples", samples_}, {"used_only_for_reading", reads}, {"written", writes}});
        const size_t most = std::min<size_t>(order.size(), 10);
        std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(most), std::greater{},
                                  [&](size_t i) { return counters_[i].total(); });
        Json& hottest = out["hottest"] = Json::array();
        for (size_t k = 0; k < most; ++k)
            hottest.push_back(
                {{"page", fmt::format("{:#x}", pages_[order[k]])}, {"count", counters_[order[k]].total()}});
        if (trace_ != 0) {
            Json& trace = out["trace"] = Json::array();
            const std::lock_guard guard(trace_lock_);
            for (const AccessEvent& e : events_) {
                Json one = {{"access", e.kind == AccessEvent::Kind::Write  ? "write"
                                       : e.kind == AccessEvent::Kind::Read ? "read"
                                                                           : "fetch"},
                            {"pa", fmt::format("{:#x}", e.pa)},
                            {"bytes", e.bytes}};
                if (e.cpu == AccessEvent::kDevice)
                    one["by"] = "device";
                else
                    one.update({{"cpu", e.cpu},
                                {"va", fmt::format("{:#x}", e.va)},
                                {"code_page", fmt::format("{:#x}", e.pc)}});
                trace.push_back(std::move(one));
            }
        }
        return out;
    }

  private:
    const bool exact_;
    const unsigned interval_;
    const size_t trace_;
    std::span<const uint64_t> pages_;
    std::vector<Counters> counters_;
    uint64_t samples_ = 0;
    std::mutex trace_lock_;
    std::deque<AccessEvent> events_;
};

}  // namespace

ModuleKind observe_kind() {
    return {"observe", "count accesses: mode exact|sampled, interval_ms, trace N (the last N accesses)",
            [](const Json& json) -> Result<std::unique_ptr<Module>> {
                Parameters p(json, "observe");
                const bool exact = p.word("mode", {"exact", "sampled"}, "exact") == "exact";
                const uint64_t interval = p.number("interval_ms", 100), trace = p.number("trace", 0);
                if (interval == 0 || interval > 3'600'000) p.wrong("'interval_ms' must be 1 to 3600000");
                if (trace > 1'000'000) p.wrong("'trace' must be at most 1000000");
                if (!exact && trace != 0) p.wrong("'trace' needs mode exact");
                if (auto good = p.finish(); !good) return std::unexpected(good.error());
                return std::make_unique<Observe>(exact, static_cast<unsigned>(interval), trace);
            }};
}

}  // namespace arclight::mmu::lightv
