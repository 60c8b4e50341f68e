// churn: moves its pages between random places while the guest runs; for tests, and to measure the cost of moves.
#include <algorithm>
#include <random>

#include "mmu/lightv/backing.h"
#include "mmu/lightv/kinds.h"
#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {
namespace {

constexpr size_t kBatch = 64;

class Churn final : public Module {
  public:
    Churn(unsigned interval, size_t most, uint64_t seed) : interval_(interval), most_(most), random_(seed) {}

    Result<void> attach(Host& host) override {
        auto opened = host.open_memory("anonymous", (kPlaces - 1) * host.pages().size());
        if (!opened) return std::unexpected("churn: " + opened.error());
        backing_ = std::move(*opened);
        places_.assign(host.pages().size(), 0);
        return {};
    }
    Result<void> detach(Host& host) override {
        std::ranges::fill(places_, uint8_t{0});
        Result<void> result;
        for (size_t at = 0; at < places_.size(); at += kBatch)
            if (auto moved = move(host, at, std::min(kBatch, places_.size() - at)); !moved) result = moved;
        return result;
    }

    unsigned interval_ms() const override { return interval_; }
    void tick(Host& host) override {
        const size_t count = 1 + random_() % std::min(most_, places_.size());
        const size_t at = random_() % (places_.size() - count + 1);
        for (size_t i = at; i < at + count; ++i)
            places_[i] = static_cast<uint8_t>((places_[i] + 1 + random_() % (kPlaces - 1)) % kPlaces);
        (void)move(host, at, count);  // anonymous memory, of which only a hardware error takes a page
        ++moves_;
        moved_ += count;
    }

    Json stats(Host&) override {
        return {{"pages", places_.size()},
                {"moves", moves_},
                {"moved", moved_},
                {"away", places_.size() - static_cast<size_t>(std::ranges::count(places_, 0))}};
    }

  private:
    static constexpr unsigned kPlaces = 3;  // of each page: RAM itself, and private ones

    Result<void> move(Host& host, size_t at, size_t count) {
        return host.move(host.pages().subspan(at, count), [&](size_t i) {
            const unsigned place = places_[at + i];
            return place == 0 ? Place{} : backing_->place((place - 1) * places_.size() + at + i);
        });
    }

    const unsigned interval_;
    const size_t most_;
    std::mt19937_64 random_;
    std::unique_ptr<Backing> backing_;
    std::vector<uint8_t> places_;
    uint64_t moves_ = 0, moved_ = 0;
};

}  // namespace

ModuleKind churn_kind() {
    return {"churn", "move pages about at random without end: interval_ms, pages (at most, at a time), seed",
            [](const Json& json) -> Result<std::unique_ptr<Module>> {
                Parameters p(json, "churn");
                const uint64_t interval = p.number("interval_ms", 10), most = p.number("pages", 16),
                               seed = p.number("seed", 1);
                if (interval == 0 || interval > 60'000) p.wrong("'interval_ms' must be 1 to 60000");
                if (most == 0 || most > 65536) p.wrong("'pages' must be 1 to 65536");
                if (auto good = p.finish(); !good) return std::unexpected(good.error());
                return std::make_unique<Churn>(static_cast<unsigned>(interval), most, seed);
            }};
}

}  // namespace arclight::mmu::lightv
