// share: several backings of the same pages, or instances of the same device, of which one is selected at a time.
#include <fmt/format.h>

#include "mmu/lightv/backing.h"
#include "mmu/lightv/kinds.h"
#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {
namespace {

class Share final : public Module {
  public:
    Share(std::vector<std::string> specs, size_t selected) : specs_(std::move(specs)), selected_(selected) {}

    Result<void> attach(Host& host) override {
        for (const std::string& spec : specs_) {
            if (!host.device().empty()) {
                auto number = spec == "own" ? Result<unsigned>(0u) : host.add_instance(spec);
                if (!number) return std::unexpected("share: " + number.error());
                instances_.push_back(*number);
            } else if (spec == "own") {
                backings_.push_back(nullptr);
            } else {
                auto opened = host.open_memory(spec, host.pages().size());
                if (!opened) return std::unexpected("share: " + opened.error());
                backings_.push_back(std::move(*opened));
            }
        }
        return select(host, selected_);
    }

    Result<void> detach(Host& host) override {
        return host.device().empty() ? Result<void>() : host.select_instance(0);
    }

    Result<Json> command(Host& host, const Json& words) override {
        Parameters p(words, "share");
        const uint64_t wanted = p.number("select");
        if (auto good = p.finish(); !good) return std::unexpected(good.error());
        if (wanted >= specs_.size())
            return std::unexpected(fmt::format("share: 'select' must be below {}", specs_.size()));
        if (auto done = select(host, wanted); !done) return std::unexpected(done.error());
        return stats(host);
    }

    Json stats(Host&) override {
        return {{"backings", specs_}, {"selected", selected_}, {"switches", switches_}};
    }

  private:
    Result<void> select(Host& host, size_t wanted) {
        if (!host.device().empty()) {
            if (auto done = host.select_instance(instances_[wanted]); !done)
                return std::unexpected("share: " + done.error());
        } else {
            const auto to = [&](size_t i) {
                return backings_[wanted] ? backings_[wanted]->place(i) : Place{};
            };
            if (auto done = host.remap(host.pages(), to); !done)
                return std::unexpected("share: " + done.error());
        }
        selected_ = wanted;
        ++switches_;
        return {};
    }

    const std::vector<std::string> specs_;
    size_t selected_;
    uint64_t switches_ = 0;
    std::vector<std::unique_ptr<Backing>> backings_;
    std::vector<unsigned> instances_;
};

}  // namespace

ModuleKind share_kind() {
    return {"share",
            "backings that answer in turn: backings [own|anonymous|file:PATH|node:N, ...], select N; of a "
            "device: "
            "[own|file:PATH, ...]",
            [](const Json& json) -> Result<std::unique_ptr<Module>> {
                Parameters p(json, "share");
                auto specs = p.texts("backings");
                const uint64_t selected = p.number("select", 0);
                if (specs.empty() || specs.size() > 64) p.wrong("1 to 64 'backings'");
                if (selected >= specs.size()) p.wrong(fmt::format("'select' must be below {}", specs.size()));
                if (auto good = p.finish(); !good) return std::unexpected(good.error());
                return std::make_unique<Share>(std::move(specs), selected);
            },
            true};
}

}  // namespace arclight::mmu::lightv
