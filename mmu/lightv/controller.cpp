#include "mmu/lightv/controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "host/memory_fault.h"
#include "host/thread.h"
#include "mmu/lightv/backing.h"

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
    Place ram(uint64_t pa) const override {
        if (!overlay().contains(pa, PageOverlay::kPage)) return {};
        if (stage() == nullptr) return {overlay().own(pa)};
        const uint64_t page = (pa - overlay().base()) / PageOverlay::kPage;
        return {stage()->alias(page), stage()->file(), page * PageOverlay::kPage};
    }
    Result<std::unique_ptr<Backing>> open_memory(const std::string& spec, uint64_t pages) const override {
        return Backing::open(spec, pages, stage() != nullptr ? Backing::Form::File : Backing::Form::Any);
    }
    void set(uint64_t pa, uint8_t flags, Watcher* watcher) override {
        if (!owns(pa)) return;
        // On the host stage a page that only lies elsewhere is an ordinary one.
        if (stage() != nullptr && flags == 0 && overlay().flags(pa) == 0) return;
        PageOverlay::Page page = overlay().page(pa);
        page.flags = stage() != nullptr ? flags : flags | page_flag::kIntercepted;
        page.watcher = watcher;
        const PageOverlay::Exclusive guard(overlay());
        overlay().set(pa, page);
    }
    Result<void> commit(std::span<const uint64_t> pages, bool content) override {
        if (stage() != nullptr) return commit_on_host(pages, content);
        controller_.machine_.forget(pages, content);
        return {};
    }
    Result<void> remap(std::span<const uint64_t> pages, const To& to) override {
        if (!owns_all(pages)) return {};
        if (stage() != nullptr) {
            Result<void> done;
            {
                const auto devices = overlay().without_devices();
                done = map(pages, to);
            }
            // Without the lock, for which a CPU that is asked may wait.
            controller_.machine_.forget_code(pages, true, false);
            return done;
        }
        {
            const PageOverlay::Exclusive guard(overlay());
            for (size_t i = 0; i < pages.size(); ++i) {
                PageOverlay::Page page = overlay().page(pages[i]);
                page.backing = to(i).host;
                overlay().set(pages[i], page);
            }
        }
        controller_.machine_.forget(pages, true);
        return {};
    }
    Result<void> move(std::span<const uint64_t> pages, const To& to) override {
        if (!owns_all(pages)) return {};
        if (stage() != nullptr)
            if (const auto moved = move_while_writes_sleep(pages, to)) return *moved;
        return move_while_uncached(pages, to);
    }
    void drain(std::span<const uint64_t> pages) override {
        // RAM's own place, which is read on the host stage, never goes; a closed page is read where it lies.
        if (stage() == nullptr || std::exchange(closed_, false)) controller_.machine_.forget(pages, false);
    }
    /// Makes the pages ordinary ones, with RAM itself behind them. After an error some are not; nothing is intercepted.
    Result<void> release() {
        bool away = false;
        {
            const PageOverlay::Exclusive guard(overlay());
            for (const uint64_t pa : pages()) {
                const PageOverlay::Page page = overlay().page(pa);
                away |= page.backing != nullptr;
                if (page.flags != 0) overlay().set(pa, {});
            }
        }
        Result<void> done;
        if (stage() == nullptr)
            controller_.machine_.forget(pages(), true);
        else if (away)
            done = remap(pages(), [](size_t) { return Place{}; });
        for (const uint64_t pa : pages()) overlay().take_marks(pa);
        return done;
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
    HostStage* stage() const { return controller_.overlay_.host_stage(); }
    bool owns_all(std::span<const uint64_t> pages) const {
        return std::ranges::all_of(pages, [&](uint64_t pa) { return owns(pa); });
    }
    Result<void> commit_on_host(std::span<const uint64_t> pages, bool content);
    Result<void> map(std::span<const uint64_t> pages, const To& to);
    bool copy(uint64_t pa, const Place& to, const uint8_t* from);
    std::optional<Result<void>> move_while_writes_sleep(std::span<const uint64_t> pages, const To& to);
    Result<void> move_while_uncached(std::span<const uint64_t> pages, const To& to);
    static Result<void> lost(size_t count, size_t of) {
        if (count == 0) return {};
        return failure("{} of {} pages cannot be moved: their memory is gone", count, of);
    }

    Controller& controller_;
    bool closed_ = false;  ///< pages were closed for a move, and somebody may still read where they were
};

// ---- On the host stage

Result<void> Controller::Attachment::commit_on_host(std::span<const uint64_t> pages, bool content) {
    using namespace page_flag;
    uint8_t flags = 0;
    for (const uint64_t pa : pages) flags |= overlay().flags(pa);
    // A region of tier 2 that reaches memory by the soft TLB has no side exit at an access, so nobody may know a page any more that
    // is to refuse one. A tracked page refuses nothing.
    const bool refuses = (flags & (kNoRead | kNoWrite | kNoExecute | kUncached | kWatched)) != 0;
    // The first time CPUs may be in accesses that no touch() guards: they must have left them.
    const bool unguarded = flags != 0 && stage()->begin_withholding();
    if (refuses || unguarded)
        controller_.machine_.forget(pages, content);
    else
        controller_.machine_.forget_code(pages, content, (flags & kTracked) != 0);
    // A device has the place of a tracked page that it has opened.
    const auto devices = overlay().without_devices();
    for (const uint64_t pa : pages)
        if (auto done = overlay().enforce(pa); !done)
            return failure("the host cannot protect page {:#x}: {}", pa, done.error());
    return {};
}

/// With as few mappings as there are runs.
Result<void> Controller::Attachment::map(std::span<const uint64_t> pages, const To& to) {
    for (size_t first = 0, next; first < pages.size(); first = next) {
        const Place place = to(first);
        for (next = first + 1; next < pages.size(); ++next) {
            const uint64_t bytes = (next - first) * PageOverlay::kPage;
            if (pages[next] != pages[first] + bytes) break;
            const Place there = to(next);
            if ((there.host == nullptr) != (place.host == nullptr)) break;
            if (place.host != nullptr && (there.host != place.host + bytes || there.file != place.file ||
                                          there.offset != place.offset + bytes))
                break;
        }
        if (auto done = overlay().remap(pages[first], next - first, place); !done)
            return failure("the host cannot map page {:#x}: {}", pages[first], done.error());
    }
    return {};
}

/// False: the bytes are gone, or there is no room.
bool Controller::Attachment::copy(uint64_t pa, const Place& to, const uint8_t* from) {
    uint8_t* const own =
        stage() != nullptr ? stage()->alias((pa - overlay().base()) / PageOverlay::kPage) : overlay().own(pa);
    const auto lent = host::pages_lent();
    return host::touch([&] { std::memcpy(to.host != nullptr ? to.host : own, from, PageOverlay::kPage); }) &&
           lent && lent == host::pages_lent();
}

/// Nothing: the host does not permit it.
std::optional<Result<void>> Controller::Attachment::move_while_writes_sleep(std::span<const uint64_t> pages,
                                                                            const To& to) {
    const auto number = [&](size_t i) { return (pages[i] - overlay().base()) / PageOverlay::kPage; };
    // Runs of consecutive pages: [first, end) of `pages`.
    std::vector<std::pair<size_t, size_t>> runs;
    for (size_t i = 0; i < pages.size(); ++i)
        if (i == 0 || pages[i] != pages[i - 1] + PageOverlay::kPage)
            runs.emplace_back(i, i + 1);
        else
            runs.back().second = i + 1;
    // A device may have handed the pages to the host's kernel, which then writes without a fault.
    const auto devices = overlay().without_devices();
    for (size_t r = 0; r < runs.size(); ++r) {
        const auto [first, end] = runs[r];
        if (stage()->hold_writes(number(first), end - first)) continue;
        for (size_t done = 0; done < r; ++done) {
            stage()->let_write(number(runs[done].first), runs[done].second - runs[done].first);
            stage()->release_writes(number(runs[done].first), runs[done].second - runs[done].first);
        }
        return std::nullopt;
    }
    size_t missing = 0;
    Result<void> result;
    for (const auto& [first, end] : runs) {
        for (size_t i = first, next; i < end; i = next) {
            // As many as go along at once.
            std::vector<Place> places;
            for (next = i; next < end; ++next) {
                const Place place = to(next);
                if (overlay().page(pages[next]).backing == place.host) break;  // there already
                if (!copy(pages[next], place, stage()->ram(number(next)))) break;
                places.push_back(place);
            }
            if (next != i) {
                auto done = map(pages.subspan(i, next - i), [&](size_t k) { return places[k]; });
                if (!done) {
                    stage()->let_write(number(i), next - i);
                    result = std::move(done);
                }
                continue;
            }
            if (overlay().page(pages[i]).backing != to(i).host) ++missing;
            stage()->let_write(number(i), 1);
            ++next;
        }
        stage()->release_writes(number(first), end - first);
    }
    return result ? lost(missing, pages.size()) : result;
}

/// In both stages: accesses find the pages uncached, or closed, and wait for a lock.
Result<void> Controller::Attachment::move_while_uncached(std::span<const uint64_t> pages, const To& to) {
    std::vector<PageOverlay::Page> old;
    for (const uint64_t pa : pages) {
        PageOverlay::Page page = overlay().page(pa);
        old.push_back(page);
        page.flags |= page_flag::kUncached;
        overlay().set(pa, page);
    }
    // From here on every write holds a lock that the copy excludes.
    Result<void> result;
    if (stage() == nullptr)
        controller_.machine_.forget(pages, false);
    else
        result = commit_on_host(pages, false);
    const PageOverlay::Exclusive guard(overlay());
    size_t missing = 0;
    for (size_t i = 0; i < pages.size(); ++i) {
        const Place place = to(i);
        const bool there = place.host == old[i].backing;
        if (result && !there && !copy(pages[i], place, overlay().host(pages[i], 1))) {
            ++missing;
        } else if (result && !there) {
            old[i].backing = place.host;
            if (stage() != nullptr)
                if (auto done = overlay().remap(pages[i], 1, place); !done) result = std::move(done);
        }
        overlay().set(pages[i], old[i]);
    }
    closed_ = true;
    return result ? lost(missing, pages.size()) : result;
}

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
    for (const uint64_t pa : attachment->pages()) attachment->set(pa, 0, nullptr);
    if (auto done = attachment->module->attach(*attachment); !done) {
        (void)attachment->release();
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
                (void)attachments_.at(earlier)->release();
                attachments_.erase(earlier);
            }
            return attached;
        }
        done.push_back(std::move(name));
    }
    return {};
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
    if (auto done = (*found)->release(); !done) return failure("'{}': {}", name, done.error());
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
