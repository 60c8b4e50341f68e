// LightV: modules that intercept single pages of a running guest. README.md beside this file shows how to write a module.
//
// A module owns one device or a set of guest physical pages. A page has at most one owner. One thread at a time calls the
// functions of a module, never a virtual CPU's thread; access() is the exception.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "mmu/page_overlay.h"
#include "mmu/result.h"

namespace arclight::mmu::lightv {

using Json = nlohmann::ordered_json;
class Backing;

/// What a module may do with its own pages. Calls with addresses of other pages are ignored.
class Host {
  public:
    virtual ~Host() = default;

    /// Guest physical addresses of the pages in ascending order; empty for a device.
    virtual std::span<const uint64_t> pages() const = 0;
    /// The device's name; empty for pages.
    virtual const std::string& device() const = 0;

    virtual PageOverlay::Page page(uint64_t pa) const = 0;
    /// The host memory that backs the page now.
    virtual uint8_t* content(uint64_t pa) const = 0;
    /// The memory in RAM itself of any page, owned or not; a null host: there is no such page.
    virtual Place ram(uint64_t pa) const = 0;
    /// Memory to put behind pages (backing.h).
    virtual Result<std::unique_ptr<Backing>> open_memory(const std::string& spec, uint64_t pages) const = 0;
    /// Gives the page these flags and this watcher. Devices and table walks see the change at once, a CPU at its next soft TLB
    /// miss of the page, and all of them after commit().
    virtual void set(uint64_t pa, uint8_t flags, Watcher* watcher = nullptr) = 0;
    /// Returns when every CPU has the rights that were set. `content`: blocks translated from the pages are dropped too. The
    /// error is that the host cannot give so many pages rights of their own.
    virtual Result<void> commit(std::span<const uint64_t> pages, bool content) = 0;
    /// Puts other memory behind owned pages, which is what all see when it returns. `to` gives it for each index into `pages`
    /// (a null host: RAM itself). After an error some are there, some not.
    using To = std::function<Place(size_t)>;
    virtual Result<void> remap(std::span<const uint64_t> pages, const To& to) = 0;
    /// The same, with the bytes, of which no write is lost. CPUs that write to one of the pages wait, so pass few at a time. A
    /// page whose bytes are gone, or for which there is no room, stays where it is, and that is the error; the others are moved.
    virtual Result<void> move(std::span<const uint64_t> pages, const To& to) = 0;
    /// Returns when nobody reads any more where pages were before remap() and move(): that memory may go.
    virtual void drain(std::span<const uint64_t> pages) = 0;
    /// Reads and clears the marks of a kTracked page (PageOverlay::kAccessed, kDirty).
    virtual uint8_t take_marks(uint64_t pa) = 0;

    // ---- A device and its instances, of which one is selected; instance 0 is the machine's own
    /// Adds an instance with this backend and returns its number.
    virtual Result<unsigned> add_instance(const std::string& backend) = 0;
    virtual Result<void> select_instance(unsigned instance) = 0;
    /// While true, every access to the device ends in an external abort.
    virtual void refuse_device(bool refuse) = 0;
};

/// One attachment of a module. Derive from it to write a module.
class Module : public Watcher {
  public:
    /// Sets up the pages. It must not have changed anything when it returns an error.
    virtual Result<void> attach(Host& host) = 0;
    /// Called before the controller releases the pages. A module that has moved their content moves it back here; while it
    /// cannot, the pages stay its own.
    virtual Result<void> detach(Host&) { return {}; }
    /// `arclight lightv command`: a command that the module defines.
    virtual Result<Json> command(Host&, const Json&) {
        return std::unexpected(std::string("this module takes no commands"));
    }
    /// Counters for `arclight lightv stats`.
    virtual Json stats(Host&) { return Json::object(); }
    /// Interval of tick() in milliseconds; 0: tick() is never called.
    virtual unsigned interval_ms() const { return 0; }
    virtual void tick(Host&) {}
    /// An access to a page with page_flag::kWatched. All CPU and device threads call it at once, with locks held: it must
    /// return quickly and must not block. False refuses the access.
    bool access(const AccessEvent&) override { return true; }
};

/// A kind of module: its name in policies, one line of help, and its factory.
struct ModuleKind {
    std::string name;
    std::string help;
    std::function<Result<std::unique_ptr<Module>>(const Json& parameters)> make;
    bool devices = false;  ///< can own a device instead of pages
};

/// All kinds. Call add_kind() before the machine starts.
const std::vector<ModuleKind>& kinds();
void add_kind(ModuleKind kind);

}  // namespace arclight::mmu::lightv
