// remap: backs its pages by other memory while the guest runs. The guest sees the new memory's content at once
// ("content": "keep"), or the page's own bytes are copied first ("copy").
#include <fmt/format.h>

#include "mmu/lightv/backing.h"
#include "mmu/lightv/kinds.h"
#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {
namespace {

constexpr size_t kBatch = 64;

struct Target {
    std::string to;
    bool copy = false;
};

Result<Target> parse(const Json& json) {
    Parameters p(json, "remap");
    Target t{.to = p.text("to")};
    t.copy = p.word("content", {"keep", "copy"}, "keep") == "copy";
    if (auto good = p.finish(); !good) return std::unexpected(good.error());
    return t;
}

class Remap final : public Module {
  public:
    explicit Remap(Target target) : first_(std::move(target)) {}

    Result<void> attach(Host& host) override { return intercept(host, first_); }

    Result<Json> command(Host& host, const Json& words) override {
        const auto target = parse(words);
        if (!target) return std::unexpected(target.error());
        if (auto done = intercept(host, *target); !done) return std::unexpected(done.error());
        return stats(host);
    }

    Json stats(Host& host) override {
        return {{"pages", host.pages().size()}, {"to", to_}, {"remaps", remaps_}};
    }

  private:
    Result<void> intercept(Host& host, const Target& target) {
        const auto pages = host.pages();
        std::unique_ptr<Backing> backing;
        std::vector<Place> places(pages.size());
        if (target.to.starts_with("page:")) {
            const auto first = parse_number(target.to.substr(5));
            if (!first || *first % PageOverlay::kPage != 0)
                return std::unexpected(fmt::format("remap: '{}' is no page", target.to));
            for (size_t i = 0; i < pages.size(); ++i)
                if ((places[i] = host.ram(*first + i * PageOverlay::kPage)).host == nullptr)
                    return std::unexpected(
                        fmt::format("remap: there is no memory at {:#x}", *first + i * PageOverlay::kPage));
        } else if (target.to != "own") {
            auto opened = host.open_memory(target.to, pages.size());
            if (!opened) return std::unexpected("remap: " + opened.error());
            backing = std::move(*opened);
            for (size_t i = 0; i < pages.size(); ++i) places[i] = backing->place(i);
        }
        if (target.copy) {
            for (size_t at = 0; at < pages.size(); at += kBatch) {
                const size_t count = std::min(kBatch, pages.size() - at);
                if (auto done = host.move(pages.subspan(at, count), [&](size_t i) { return places[at + i]; });
                    !done) {
                    if (backing) stranded_.push_back(std::move(backing));
                    return failure("remap: pages {} to {}: {}", at, at + count - 1, done.error());
                }
            }
            if (backing_) host.drain(pages);
        } else {
            if (auto done = host.remap(pages, [&](size_t i) { return places[i]; }); !done) {
                if (backing) stranded_.push_back(std::move(backing));
                return failure("remap: {}", done.error());
            }
        }
        backing_ = std::move(backing);  // the old one is no longer in use
        to_ = target.to;
        ++remaps_;
        return {};
    }

    const Target first_;
    std::unique_ptr<Backing> backing_;
    std::vector<std::unique_ptr<Backing>> stranded_;  ///< of changes that stopped in the middle
    std::string to_ = "own";
    uint64_t remaps_ = 0;
};

}  // namespace

ModuleKind remap_kind() {
    return {"remap",
            "back by other memory: to anonymous|file:PATH|node:N|page:ADDRESS|own, content keep|copy",
            [](const Json& json) -> Result<std::unique_ptr<Module>> {
                auto target = parse(json);
                if (!target) return std::unexpected(target.error());
                return std::make_unique<Remap>(std::move(*target));
            }};
}

}  // namespace arclight::mmu::lightv
