// LightV: modules that intercept single pages of a running guest. README.md beside this file shows how to write
// one.
//
// A module owns a set of guest physical pages, which nobody else can have at the same time, or one device.
// All of its functions but access() are called by one thread at a time, never by a virtual CPU's.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "mmu/page_overlay.h"

namespace arclight::mmu::lightv {

using Json = nlohmann::ordered_json;

/// A value, or one line of text that a user can act on.
template <typename T>
using Result = std::expected<T, std::string>;

/// What a module may do with its own pages. Addresses that are not its own are an error of the module's:
/// ignored.
class Host {
  public:
    virtual ~Host() = default;

    /// Guest physical addresses of the pages, ascending; none for a device.
    virtual std::span<const uint64_t> pages() const = 0;
    /// The device's name; empty for pages.
    virtual const std::string& device() const = 0;

    virtual PageOverlay::Page page(uint64_t pa) const = 0;
    /// Where the page's bytes are now.
    virtual uint8_t* content(uint64_t pa) const = 0;
    /// RAM's own place for any page, one's own or not. Null: there is no such page.
    virtual uint8_t* ram(uint64_t pa) const = 0;
    /// Seen at once by devices and table walks, by CPUs when they next miss the page; by all after commit().
    virtual void set(uint64_t pa, const PageOverlay::Page& page) = 0;
    /// Returns when no CPU uses anything that held before. `content`: other bytes are behind the pages than
    /// before, so that code is translated anew.
    virtual void commit(std::span<const uint64_t> pages, bool content) = 0;
    /// Moves the bytes of own pages, with no write lost, to where `to` says for each of them (null: RAM's own
    /// place). CPUs that want one of them wait, so give few at a time.
    virtual void move(std::span<const uint64_t> pages, const std::function<uint8_t*(size_t)>& to) = 0;
    /// Reads and clears the marks of a kTracked page.
    virtual uint8_t take_marks(uint64_t pa) = 0;

    // ---- For a device: its instances, of which one answers. The first is the machine's own.
    virtual Result<unsigned> add_instance(const std::string& backend) = 0;
    virtual Result<void> select_instance(unsigned instance) = 0;
    /// No instance answers: accesses abort.
    virtual void refuse_device(bool refuse) = 0;
};

class Module : public Watcher {
  public:
    /// Programs the pages. An error: nothing must have been changed.
    virtual Result<void> attach(Host& host) = 0;
    /// Before the pages become ordinary ones again, which the controller sees to. Content that has gone
    /// elsewhere is to be brought back here, if it matters.
    virtual void detach(Host&) {}
    /// `arclight lightv command`: whatever the module understands.
    virtual Result<Json> command(Host&, const Json&) {
        return std::unexpected(std::string("this module takes no commands"));
    }
    virtual Json stats(Host&) { return Json::object(); }
    /// How often tick() is to be called; 0: never.
    virtual unsigned interval_ms() const { return 0; }
    virtual void tick(Host&) {}
    /// An access to a page with page_flag::kWatched. By any CPU or device, several at once, with locks held:
    /// count, decide, return.
    bool access(const AccessEvent&) override { return true; }
};

/// A kind of module: its name in policies, a line for people, and how to make one from its parameters.
struct ModuleKind {
    std::string name;
    std::string help;
    std::function<Result<std::unique_ptr<Module>>(const Json& parameters)> make;
    bool devices = false;  ///< can own a device instead of pages
};

/// The kinds there are; add_kind() before the machine starts.
const std::vector<ModuleKind>& kinds();
void add_kind(ModuleKind kind);

}  // namespace arclight::mmu::lightv
