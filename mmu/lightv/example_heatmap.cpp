// heatmap: counts the intervals in which each of its pages is written; the example of README.md.
#include "mmu/lightv/example_heatmap.h"

#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {
namespace {

class Heatmap final : public Module {
  public:
    explicit Heatmap(unsigned interval) : interval_(interval) {}

    // Track the pages: the first write sets a mark, and further writes run at full speed.
    Result<void> attach(Host& host) override {
        heat_.assign(host.pages().size(), 0);
        for (const uint64_t pa : host.pages()) host.set(pa, page_flag::kTracked);
        return host.commit(host.pages(), false);
    }

    // Each interval: collect the marks, and invalidate the pages in all CPUs so that the next write sets a new mark.
    unsigned interval_ms() const override { return interval_; }
    void tick(Host& host) override {
        for (size_t i = 0; i < heat_.size(); ++i)
            heat_[i] += (host.take_marks(host.pages()[i]) & PageOverlay::kDirty) != 0;
        (void)host.commit(host.pages(), false);
    }

    Result<Json> command(Host& host, const Json& words) override {
        Parameters p(words, "heatmap");
        const bool reset = p.word("do", {"reset", "show"}) == "reset";
        if (auto good = p.finish(); !good) return std::unexpected(good.error());
        if (reset) heat_.assign(heat_.size(), 0);
        return stats(host);
    }

    Json stats(Host&) override { return {{"heat", heat_}}; }

  private:
    const unsigned interval_;
    std::vector<uint64_t> heat_;
};

}  // namespace

ModuleKind heatmap_kind() {
    return {"heatmap", "how often each page is written: interval_ms",
            [](const Json& json) -> Result<std::unique_ptr<Module>> {
                Parameters p(json, "heatmap");
                const uint64_t interval = p.number("interval_ms", 50);
                if (interval == 0 || interval > 60'000) p.wrong("'interval_ms' must be 1 to 60000");
                if (auto good = p.finish(); !good) return std::unexpected(good.error());
                return std::make_unique<Heatmap>(static_cast<unsigned>(interval));
            }};
}

}  // namespace arclight::mmu::lightv
