// migrate: moves the content of its pages to other memory, a batch of pages at a time, while the guest runs; no write is
// lost. detach() moves all content back.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "mmu/lightv/backing.h"
#include "mmu/lightv/kinds.h"
#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {
namespace {

struct Target {
    std::string to;
    size_t batch = 0;
};

Result<Target> parse(const Json& json) {
    Parameters p(json, "migrate");
    Target t{.to = p.text("to"), .batch = p.number("batch", 64)};
    if (t.batch == 0 || t.batch > 65536) p.wrong("'batch' must be 1 to 65536 pages");
    if (auto good = p.finish(); !good) return std::unexpected(good.error());
    return t;
}

class Migrate final : public Module {
  public:
    explicit Migrate(Target target) : first_(std::move(target)) {}

    Result<void> attach(Host& host) override { return go(host, first_); }
    Result<void> detach(Host& host) override { return go(host, {"own", first_.batch}); }

    Result<Json> command(Host& host, const Json& words) override {
        const auto target = parse(words);
        if (!target) return std::unexpected(target.error());
        if (auto done = go(host, *target); !done) return std::unexpected(done.error());
        return stats(host);
    }

    Json stats(Host& host) override {
        return {{"pages", host.pages().size()}, {"to", to_},       {"moved", moved_},
                {"seconds", seconds_},          {"batch", batch_}, {"longest_batch_us", longest_us_}};
    }

  private:
    Result<void> go(Host& host, const Target& target) {
        using Clock = std::chrono::steady_clock;
        const auto micros = [](auto d) { return std::chrono::duration<double, std::micro>(d).count(); };
        const auto pages = host.pages();
        std::unique_ptr<Backing> backing;
        if (target.to != "own") {
            auto opened = host.open_memory(target.to, pages.size());
            if (!opened) return std::unexpected("migrate: " + opened.error());
            backing = std::move(*opened);
        }
        const auto start = Clock::now();
        longest_us_ = 0;
        for (size_t at = 0; at < pages.size(); at += target.batch) {
            const size_t count = std::min(target.batch, pages.size() - at);
            const auto begin = Clock::now();
            if (auto done = host.move(pages.subspan(at, count),
                                      [&](size_t i) { return backing ? backing->place(at + i) : Place{}; });
                !done) {
                // What is in the new memory already stays there.
                if (backing) stranded_.push_back(std::move(backing));
                return failure("migrate: pages {} to {}: {}", at, at + count - 1, done.error());
            }
            longest_us_ = std::max(longest_us_, micros(Clock::now() - begin));
        }
        seconds_ = micros(Clock::now() - start) / 1e6;
        if (backing_) host.drain(pages);
        backing_ = std::move(backing);
        to_ = target.to;
        batch_ = target.batch;
        moved_ += pages.size();
        return {};
    }

    const Target first_;
    std::unique_ptr<Backing> backing_;
    std::vector<std::unique_ptr<Backing>> stranded_;  ///< of moves that stopped in the middle
    std::string to_ = "own";
    size_t batch_ = 0;
    uint64_t moved_ = 0;
    double seconds_ = 0, longest_us_ = 0;
};

}  // namespace

ModuleKind migrate_kind() {
    return {"migrate", "move the content elsewhere: to anonymous|file:PATH|node:N|own, batch PAGES",
            [](const Json& json) -> Result<std::unique_ptr<Module>> {
                auto target = parse(json);
                if (!target) return std::unexpected(target.error());
                return std::make_unique<Migrate>(std::move(*target));
            }};
}

}  // namespace arclight::mmu::lightv
