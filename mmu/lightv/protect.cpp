// protect: removes rights from its pages. A refused access ends in the guest as an external abort or a permission fault.
// (Linux sends SIGBUS to a process for an external abort. It takes a permission fault that its own tables do not explain
// for a spurious one, and retries without end.)
#include "mmu/lightv/kinds.h"
#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {
namespace {

class Protect final : public Module {
  public:
    explicit Protect(uint8_t flags) : flags_(flags) {}

    Result<void> attach(Host& host) override {
        if (!host.device().empty()) {
            if ((flags_ & page_flag::kNoRead) == 0 || (flags_ & page_flag::kPermission) != 0)
                return std::unexpected(
                    std::string("protect: a device can only be denied altogether, by external aborts"));
            host.refuse_device(true);
            return {};
        }
        for (const uint64_t pa : host.pages()) host.set(pa, flags_);
        return host.commit(host.pages(), true);
    }
    Result<void> detach(Host& host) override {
        if (!host.device().empty()) host.refuse_device(false);
        return {};
    }

  private:
    const uint8_t flags_;
};

}  // namespace

ModuleKind protect_kind() {
    return {"protect", "take rights away: deny all|write|execute, abort external|permission",
            [](const Json& json) -> Result<std::unique_ptr<Module>> {
                Parameters p(json, "protect");
                const std::string deny = p.word("deny", {"all", "write", "execute"}, "all");
                const std::string abort = p.word("abort", {"external", "permission"}, "external");
                if (auto good = p.finish(); !good) return std::unexpected(good.error());
                uint8_t flags = deny == "write" ? page_flag::kNoWrite
                                : deny == "execute"
                                    ? page_flag::kNoExecute
                                    : page_flag::kNoRead | page_flag::kNoWrite | page_flag::kNoExecute;
                if (abort == "permission") flags |= page_flag::kPermission;
                return std::make_unique<Protect>(flags);
            },
            true};
}

}  // namespace arclight::mmu::lightv
