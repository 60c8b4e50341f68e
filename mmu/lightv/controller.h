// Ownership of pages: attaches modules to disjoint sets of pages and devices of one machine, for several controllers
// (users, programs) at once.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "mmu/lightv/module.h"

namespace arclight::mmu::lightv {

/// What LightV needs of the machine besides the page overlay.
class Machine {
  public:
    virtual ~Machine() = default;
    /// Invalidates these pages in every CPU's soft TLBs and fastmem and, with `content`, the blocks translated from them.
    /// Returns when all CPUs have done so.
    virtual void forget(std::span<const uint64_t> pages, bool content) = 0;
    /// The part of it that a host stage leaves: blocks, with `content`; and with `fetches` what CPUs know of code in these pages, so
    /// that each is asked for anew. CPUs are asked only if they may know any.
    virtual void forget_code(std::span<const uint64_t> pages, bool content, bool fetches) = 0;
    /// Whether there is a device of this name that modules can own.
    virtual bool has_device(const std::string& device) = 0;
    // The next three: as Host's functions of these names.
    virtual Result<unsigned> add_instance(const std::string& device, const std::string& backend) = 0;
    virtual Result<void> select_instance(const std::string& device, unsigned instance) = 0;
    virtual void refuse_device(const std::string& device, bool refuse) = 0;
};

/// A request to attach a module.
struct Request {
    std::string owner;            ///< the controller, which alone may detach it
    std::string name;             ///< name of the attachment, unique in the machine
    std::string kind;             ///< ModuleKind::name
    std::vector<uint64_t> pages;  ///< guest physical addresses
    std::string device;           ///< instead of pages
    Json parameters = Json::object();
};

/// Any thread may call it, except a virtual CPU's.
class Controller {
  public:
    Controller(PageOverlay& overlay, Machine& machine);
    ~Controller();
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;

    /// An error leaves everything unchanged.
    Result<void> attach(Request request);
    /// Attaches all, or none and returns the first error.
    Result<void> attach_all(std::vector<Request> requests);
    /// `owner` must be the controller of the attachment.
    Result<void> detach(const std::string& owner, const std::string& name);
    Result<Json> command(const std::string& owner, const std::string& name, const Json& words);
    /// All attachments with their controller, module and pages or device.
    Json list();
    /// Why the machine's state cannot be saved, in one line: an attachment's own state, such as where it has moved pages to, is
    /// outside of the machine. Nothing: it can.
    std::optional<std::string> unsaved();
    /// Counters of one attachment; of all if `name` is empty.
    Result<Json> stats(const std::string& name);

  private:
    class Attachment;
    Result<void> attach_locked(Request request);
    Result<void> check(Request& request) const;
    Result<Attachment*> find(const std::string& owner, const std::string& name);
    void tick();

    PageOverlay& overlay_;
    Machine& machine_;
    std::mutex lock_;
    std::map<std::string, std::unique_ptr<Attachment>> attachments_;
    std::condition_variable wake_;
    bool quit_ = false;
    std::thread ticker_;  // started with the first module that has an interval
};

}  // namespace arclight::mmu::lightv
