#include "mmu/lightv/controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "host/memory_fault.h"
#include "host/thread.h"

namespace arclight::mmu::lightv {

namespace {
using Clock = std::chrono::steady_clock;
}  // namespace

class Controller::Attachment final : public Host {
  public:
    Attachment(Controller& controller, Request r, std::unique_ptr<Module> m)
        : request(std::move(r)), module(std::move(m)), controller_(controller) {}

    const Request request;
    std::unique_ptr<Module> module;
    Clock::time_point next_tick = Clock::now();

    std::span<const uint64_t> pages() const override { return request.pages; }
    const std::string& device() const override { return request.device; }
    bool owns(uint64_t pa) const { return std::ranges::binary_search(request.pages, pa); }

    PageOverlay::Page page(uint64_t pa) const override {
        return owns(pa) ? overlay().page(pa) : PageOverlay::Page{};
    }
    uint8_t* content(uint64_t pa) const override { return owns(pa) ? overlay().host(pa, 1) : nullptr; }
    uint8_t* ram(uint64_t pa) const override {
        return overlay().contains(pa, PageOverlay::kPage) ? overlay().own(pa) : nullptr;
    }
    void set(uint64_t pa, const PageOverlay::Page& page) override {
        if (!owns(pa)) return;
        PageOverlay::Page owned = page;
        owned.flags |= page_flag::kIntercepted;
        const PageOverlay::Exclusive guard(overlay());
        overlay().set(pa, owned);
    }
    void commit(std::span<const uint64_t> pages, bool content) override {
        controller_.machine_.forget(pages, content);
    }
    Result<void> move(std::span<const uint64_t> pages, const std::function<uint8_t*(size_t)>& to) override {
        if (!std::ranges::all_of(pages, [&](uint64_t pa) { return owns(pa); })) return {};
        size_t lost = 0;
        std::vector<PageOverlay::Page> old;
        for (const uint64_t pa : pages) {
            PageOverlay::Page page = overlay().page(pa);
            old.push_back(page);
            page.flags |= page_flag::kUncached;
            overlay().set(pa, page);
        }
        // From here on every write holds a lock that the copy excludes.
        controller_.machine_.forget(pages, false);
        const PageOverlay::Exclusive guard(overlay());
        for (size_t i = 0; i < pages.size(); ++i) {
            uint8_t* const backing = to(i);
            uint8_t* const place = backing != nullptr ? backing : overlay().own(pages[i]);
            uint8_t* const from = overlay().host(pages[i], 1);
            const auto lent = host::pages_lent();
            if (from == place || (host::touch([&] { std::memcpy(place, from, PageOverlay::kPage); }) &&
                                  lent && lent == host::pages_lent()))
                old[i].backing = backing;
            else
                ++lost;
            overlay().set(pages[i], old[i]);
        }
        if (lost != 0)
            return failure("{} of {} pages cannot be moved: their memory is gone", lost, pages.size());
        return {};
    }
    uint8_t take_marks(uint64_t pa) override { return owns(pa) ? overlay().take_marks(pa) : 0; }
    Result<unsigned> add_instance(const std::string& backend) override {
        return controller_.machine_.add_instance(request.device, backend);
    }
    Result<void> select_instance(unsigned instance) override {
        return controller_.machine_.select_instance(request.device, instance);
    }
    void refuse_device(bool refuse) override { controller_.machine_.refuse_device(request.device, refuse); }

  private:
    PageOverlay& overlay() const { return controller_.overlay_; }
    Controller& controller_;
};

Controller::Controller(PageOverlay& overlay, Machine& machine) : overlay_(overlay), machine_(machine) {}

Controller::~Controller() {
    {
        const std::lock_guard guard(lock_);
        quit_ = true;
    }
    wake_.notify_all();
    if (ticker_.joinable()) ticker_.join();
    // The machine has stopped, so the pages need no release.
}

Result<void> Controller::check(Request& request) const {
    if (request.name.empty()) return failure("an attachment needs a name");
    if (attachments_.contains(request.name))
        return failure("there is an attachment '{}' already", request.name);
    if (!request.device.empty()) {
        if (!request.pages.empty()) return failure("'{}': pages or a device, not both", request.name);
        if (!machine_.has_device(request.device))
            return failure("'{}': there is no device '{}' that a module can own", request.name,
                           request.device);
        for (const auto& [name, other] : attachments_)
            if (other->request.device == request.device)
                return failure("'{}': device '{}' belongs to '{}' of controller '{}'", request.name,
                               request.device, name, other->request.owner);
        return {};
    }
    if (request.pages.empty()) return failure("'{}': no pages", request.name);
    std::ranges::sort(request.pages);
    request.pages.erase(std::ranges::unique(request.pages).begin(), request.pages.end());
    for (const uint64_t pa : request.pages) {
        if (pa % PageOverlay::kPage != 0)
            return failure("'{}': {:#x} is not the address of a page", request.name, pa);
        if (!overlay_.contains(pa, PageOverlay::kPage))
            return failure("'{}': there is no memory at {:#x}; RAM is {:#x} to {:#x}", request.name, pa,
                           overlay_.base(), overlay_.base() + overlay_.size() - 1);
        if (overlay_.page(pa).flags == 0) continue;
        for (const auto& [name, other] : attachments_)
            if (other->owns(pa))
                return failure("'{}': page {:#x} belongs to '{}' of controller '{}'", request.name, pa, name,
                               other->request.owner);
    }
    return {};
}

Result<void> Controller::attach_locked(Request request) {
    if (auto checked = check(request); !checked) return checked;
    const auto kind = std::ranges::find(kinds(), request.kind, &ModuleKind::name);
    if (kind == kinds().end()) {
        std::string names;
        for (const ModuleKind& k : kinds()) names += (names.empty() ? "" : ", ") + k.name;
        return failure("'{}': there is no module '{}'; there are {}", request.name, request.kind, names);
    }
    if (!request.device.empty() && !kind->devices)
        return failure("'{}': module '{}' is for pages, not for devices", request.name, request.kind);
    auto module = kind->make(request.parameters);
    if (!module) return failure("'{}': {}", request.name, module.error());
    if (!overlay_.prepare())
        return failure("'{}': no memory for the tables of the page overlay", request.name);
    const std::string name = request.name;
    auto attachment = std::make_unique<Attachment>(*this, std::move(request), std::move(*module));
    for (const uint64_t pa : attachment->pages()) attachment->set(pa, {});
    if (auto done = attachment->module->attach(*attachment); !done) {
        release(*attachment);
        return failure("'{}': {}", name, done.error());
    }
    if (attachment->module->interval_ms() != 0 && !ticker_.joinable())
        ticker_ = host::start_thread("lightv ticks", ThreadRole::Control, [this] { tick(); });
    attachments_[name] = std::move(attachment);
    wake_.notify_all();
    return {};
}

Result<void> Controller::attach(Request request) {
    const std::lock_guard guard(lock_);
    return attach_locked(std::move(request));
}

Result<void> Controller::attach_all(std::vector<Request> requests) {
    const std::lock_guard guard(lock_);
    std::vector<std::string> done;
    for (Request& request : requests) {
        std::string name = request.name;
        if (auto attached = attach_locked(std::move(request)); !attached) {
            for (const std::string& earlier : done) {
                (void)attachments_.at(earlier)->module->detach(*attachments_.at(earlier));
                release(*attachments_.at(earlier));
                attachments_.erase(earlier);
            }
            return attached;
        }
        done.push_back(std::move(name));
    }
    return {};
}

/// Makes the pages ordinary ones. The module may be destroyed afterwards.
void Controller::release(Attachment& attachment) {
    {
        const PageOverlay::Exclusive guard(overlay_);
        for (const uint64_t pa : attachment.pages()) overlay_.set(pa, {});
    }
    machine_.forget(attachment.pages(), true);
    for (const uint64_t pa : attachment.pages()) overlay_.take_marks(pa);
}

Result<Controller::Attachment*> Controller::find(const std::string& owner, const std::string& name) {
    const auto found = attachments_.find(name);
    if (found == attachments_.end()) return failure("there is no attachment '{}'", name);
    if (found->second->request.owner != owner)
        return failure("'{}' belongs to controller '{}', not '{}'", name, found->second->request.owner,
                       owner);
    return found->second.get();
}

Result<void> Controller::detach(const std::string& owner, const std::string& name) {
    const std::lock_guard guard(lock_);
    auto found = find(owner, name);
    if (!found) return std::unexpected(found.error());
    if (auto done = (*found)->module->detach(**found); !done) return failure("'{}': {}", name, done.error());
    release(**found);
    attachments_.erase(name);
    return {};
}

Result<Json> Controller::command(const std::string& owner, const std::string& name, const Json& words) {
    const std::lock_guard guard(lock_);
    auto found = find(owner, name);
    if (!found) return std::unexpected(found.error());
    auto answer = (*found)->module->command(**found, words);
    if (!answer) return failure("'{}': {}", name, answer.error());
    return answer;
}

Json Controller::list() {
    const std::lock_guard guard(lock_);
    Json all = Json::array();
    for (const auto& [name, attachment] : attachments_) {
        const Request& r = attachment->request;
        Json one = {{"name", name}, {"controller", r.owner}, {"module", r.kind}};
        if (!r.device.empty()) {
            one["device"] = r.device;
        } else {
            one["pages"] = r.pages.size();
            one["first"] = fmt::format("{:#x}", r.pages.front());
            one["last"] = fmt::format("{:#x}", r.pages.back());
        }
        all.push_back(std::move(one));
    }
    return all;
}

std::optional<std::string> Controller::unsaved() {
    const std::lock_guard guard(lock_);
    if (attachments_.empty()) return std::nullopt;
    const auto& [name, first] = *attachments_.begin();
    return fmt::format("LightV's attachment '{}' (module '{}') cannot be saved: detach it first", name,
                       first->request.kind);
}

Result<Json> Controller::stats(const std::string& name) {
    const std::lock_guard guard(lock_);
    if (!name.empty() && !attachments_.contains(name)) return failure("there is no attachment '{}'", name);
    Json all = Json::object();
    for (const auto& [key, attachment] : attachments_)
        if (name.empty() || key == name) all[key] = attachment->module->stats(*attachment);
    return all;
}

void Controller::tick() {
    std::unique_lock held(lock_);
    while (!quit_) {
        auto next = Clock::now() + std::chrono::seconds(1);
        for (auto& [name, attachment] : attachments_) {
            const std::chrono::milliseconds interval(attachment->module->interval_ms());
            if (interval.count() == 0) continue;
            if (attachment->next_tick <= Clock::now()) {
                attachment->module->tick(*attachment);
                // Counted from the end of the tick, so that a slow module does not starve others.
                attachment->next_tick = Clock::now() + interval;
            }
            next = std::min(next, attachment->next_tick);
        }
        wake_.wait_until(held, next);
    }
}

}  // namespace arclight::mmu::lightv
