// fault_inject: aborts every Nth access to its pages, or accesses at random, as faulty memory would.
#include <atomic>

#include "mmu/bits.h"
#include "mmu/lightv/kinds.h"
#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {
namespace {

class FaultInject final : public Module {
  public:
    FaultInject(uint64_t every, double probability, uint64_t seed, std::string on)
        : every_(every), probability_(probability), seed_(seed), on_(std::move(on)) {}

    Result<void> attach(Host& host) override {
        for (const uint64_t pa : host.pages()) host.set(pa, page_flag::kUncached | page_flag::kWatched, this);
        return host.commit(host.pages(), true);
    }

    bool access(const AccessEvent& event) override {
        using Kind = AccessEvent::Kind;
        if ((on_ == "read" && event.kind != Kind::Read) || (on_ == "write" && event.kind != Kind::Write) ||
            (on_ == "data" && event.kind == Kind::Fetch))
            return true;
        const uint64_t n = accesses_.fetch_add(1, std::memory_order_relaxed) + 1;
        const bool fault = every_ != 0 ? n % every_ == 0 : chance(n) < probability_;
        if (fault) faults_.fetch_add(1, std::memory_order_relaxed);
        return !fault;
    }

    Json stats(Host&) override { return {{"accesses", accesses_.load()}, {"faults", faults_.load()}}; }

  private:
    /// splitmix64 of the number of the access: the same seed gives the same faults.
    double chance(uint64_t n) const {
        uint64_t z = seed_ + n * kHashMultiplier;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return static_cast<double>((z ^ z >> 31) >> 11) * 0x1p-53;
    }

    const uint64_t every_;
    const double probability_;
    const uint64_t seed_;
    const std::string on_;
    std::atomic<uint64_t> accesses_{0}, faults_{0};
};

}  // namespace

ModuleKind fault_inject_kind() {
    return {"fault_inject",
            "let accesses abort: every N, or probability P and seed S; on data|read|write|any",
            [](const Json& json) -> Result<std::unique_ptr<Module>> {
                Parameters p(json, "fault_inject");
                const bool random = p.has("probability");
                if (random == p.has("every")) p.wrong("either 'every' or 'probability'");
                const uint64_t every = p.number("every", 0), seed = p.number("seed", 1);
                const double probability = p.fraction("probability", 0.0);
                const std::string on = p.word("on", {"data", "read", "write", "any"}, "data");
                if (!random && every == 0) p.wrong("'every' must be 1 or more");
                if (!(probability >= 0 && probability <= 1)) p.wrong("'probability' must be 0 to 1");
                if (auto good = p.finish(); !good) return std::unexpected(good.error());
                return std::make_unique<FaultInject>(every, probability, seed, on);
            }};
}

}  // namespace arclight::mmu::lightv
