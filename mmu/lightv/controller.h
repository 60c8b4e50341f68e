// Who owns which pages: attaches modules to disjoint sets of pages and devices of one machine, for several
// controllers (people, programs) at once.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "mmu/lightv/module.h"

namespace arclight::mmu::lightv {

/// What LightV needs of the machine around the page overlay.
class Machine {
  public:
    virtual ~Machine() = default;
    /// Returns when no CPU has anything of these pages in a soft TLB or fastmem any more, nor, with `content`,
    /// in translated code.
    virtual void forget(std::span<const uint64_t> pages, bool content) = 0;
    virtual bool has_device(const std::string& device) = 0;
    virtual Result<unsigned> add_instance(const std::string& device, const std::string& backend) = 0;
    virtual Result<void> select_instance(const std::string& device, unsigned instance) = 0;
    virtual void refuse_device(const std::string& device, bool refuse) = 0;
};

struct Request {
    std::string owner;            ///< the controller that may detach it again
    std::string name;             ///< of this attachment, unique in the machine
    std::string kind;             ///< of module
    std::vector<uint64_t> pages;  ///< guest physical
    std::string device;           ///< instead of pages
    Json parameters = Json::object();
};

/// All members from any thread but a virtual CPU's.
class Controller {
  public:
    Controller(PageOverlay& stage, Machine& machine);
    ~Controller();
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;

    /// An error: one line, and nothing has been changed.
    Result<void> attach(Request request);
    /// Several, all or none.
    Result<void> attach_all(std::vector<Request> requests);
    Result<void> detach(const std::string& owner, const std::string& name);
    Result<Json> command(const std::string& owner, const std::string& name, const Json& words);
    Json list();
    Result<Json> stats(const std::string& name);  ///< empty: of all

  private:
    class Attachment;
    Result<void> attach_locked(Request request);
    Result<void> check(Request& request) const;
    Result<Attachment*> find(const std::string& owner, const std::string& name);
    void release(Attachment& attachment);
    void tick();

    PageOverlay& overlay_;
    Machine& machine_;
    std::mutex lock_;
    std::map<std::string, std::unique_ptr<Attachment>> attachments_;
    std::condition_variable wake_;
    bool quit_ = false;
    std::thread ticker_;  // runs once there is a module that wants it
};

}  // namespace arclight::mmu::lightv
