// The second stage of guest RAM's translation, done by the host: what lies behind a page is what the host has mapped at the
// page's own place in RAM. Whoever knows that place (soft TLBs, fastmem, translated code, EPT and NPT beneath a virtual machine)
// gets the change from the host's own tables, so nobody is told of it.
//
// RAM is a file in memory, so that a page's own content can be mapped again. The same file is mapped a second time, with all
// rights: this program's own accesses go there while RAM's own place withholds rights from translated code.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "host/memory_fault.h"
#include "mmu/guarded_mapping.h"
#include "mmu/result.h"

namespace arclight::mmu {

/// Memory to put behind a page. A null `host` is the page's own.
struct Place {
    uint8_t* host = nullptr;  ///< where this process has it, aligned to a page
    int file = -1;            ///< that it is a part of; -1: anonymous memory, which no HostStage can map
    uint64_t offset = 0;      ///< in the file
};

/// A descriptor of userfaultfd, by which writes to pages of this process can be held up.
class FaultFile {
  public:
    /// Null: this host has no such thing for files in memory (Linux 5.19), or does not permit it (CAP_SYS_PTRACE, or
    /// vm.unprivileged_userfaultfd).
    static std::shared_ptr<const FaultFile> open();
    ~FaultFile();
    FaultFile(const FaultFile&) = delete;
    FaultFile& operator=(const FaultFile&) = delete;
    int get() const { return file_; }

  private:
    explicit FaultFile(int file) : file_(file) {}
    const int file_;
};

/// Pages by number. One thread at a time changes them; on_fault() and open() run on all.
class HostStage {
  public:
    static constexpr uint64_t kPage = 4096;
    enum class Rights : uint8_t { All, Read, None };

    /// `ram` is `bytes` of shared mapping of `file`, from its start, and `file` stays open meanwhile. `faults`: null, without. The
    /// error is the system's own text.
    static Result<std::unique_ptr<HostStage>> create(uint8_t* ram, uint64_t bytes, int file,
                                                     std::shared_ptr<const FaultFile> faults);
    ~HostStage();
    HostStage(const HostStage&) = delete;
    HostStage& operator=(const HostStage&) = delete;

    uint8_t* ram(uint64_t page) const { return ram_ + page * kPage; }
    /// The page's own content with all rights, whatever lies behind the page and whoever may not access it.
    uint8_t* alias(uint64_t page) const { return alias_.data() + page * kPage; }
    int file() const { return file_; }
    /// Whether [at, at + bytes) of RAM shows RAM's own content, all of it.
    bool is_own(const uint8_t* at, uint64_t bytes) const;

    /// Puts the memory at `place` and behind it behind `count` pages from `first` on: one mapping, one change for the host. Rights
    /// stay, and pages that may be read are there at once, without a fault. An error, the system's own text, leaves them as they were.
    Result<void> map(uint64_t first, uint64_t count, const Place& place);

    // ---- Rights of translated code and of devices that know the page's place
    /// Before the first withhold(). True: until now touch() may not have guarded accesses, and those that are under way must have
    /// ended before any right is withheld.
    bool begin_withholding() { return withheld_memory_.guard(); }
    /// Fewer rights, or the same. A tracked page's are withheld until open().
    Result<void> withhold(uint64_t page, Rights rights, bool tracked);
    /// More rights, or the same.
    void grant(uint64_t page, Rights rights, bool tracked);
    /// Of a tracked page: permits reads, or all. True: it is tracked. Async-signal-safe.
    bool open(uint64_t page, bool write);
    /// Adds to the marks of a tracked page, by which its owner learns of the access; while a handler runs.
    using Mark = void (*)(void* context, uint64_t page, bool write);
    void set_mark(Mark mark, void* context) { mark_ = mark, mark_context_ = context; }
    uint64_t withheld_pages() const { return withheld_; }

    // ---- Copies that lose no write
    /// Lets writes to the pages sleep where they are, those of the host's kernel for us included, until release_writes(). False:
    /// this host, or what lies behind the pages, does not permit it (userfaultfd), and nothing has changed.
    bool hold_writes(uint64_t first, uint64_t count);
    /// For pages that stay as they are: writes go on.
    void let_write(uint64_t first, uint64_t count);
    /// Wakes who sleeps, to find what lies there now.
    void release_writes(uint64_t first, uint64_t count);
    bool can_hold_writes() const { return faults_file_ != nullptr; }

    struct Counts {
        uint64_t maps = 0;    ///< changes of what lies behind runs of pages
        uint64_t pages = 0;   ///< in these
        uint64_t faults = 0;  ///< accesses that were withheld, by those who asked on_fault()
    };
    Counts counts() const { return {maps_, pages_mapped_, faults_}; }

  private:
    HostStage(uint8_t* ram, uint64_t bytes, int file, std::shared_ptr<const FaultFile> faults,
              GuardedMapping alias, void* tables);
    static constexpr uint64_t kTableBytesPerPage =
        sizeof(std::atomic<uint8_t*>) + sizeof(std::atomic<uint8_t>);
    uint64_t pages() const { return bytes_ / kPage + 1; }
    static host::WithheldMemory::Answer on_fault(void* self, const void* address, bool write);
    static const void* origin(void* self, const void* address);
    static const void* next_away(void* self, const void* from);
    Result<void> map_locked(uint64_t first, uint64_t count, const Place& place, bool& readable);
    Result<void> protect(uint64_t page, Rights rights);
    void count_withheld(uint8_t before, uint8_t after);

    // A page's state; 0 for nearly all, of which nothing is stored (a sparse mapping).
    static constexpr uint8_t kRights = 3;  ///< Rights
    static constexpr uint8_t kTracked = 4, kAway = 8;

    /// Held for a few instructions and one system call, in which no page of RAM is accessed: a fault's handler takes it too.
    class Lock {
      public:
        explicit Lock(std::atomic_flag& flag);
        ~Lock() { flag_.clear(std::memory_order_release); }
        Lock(const Lock&) = delete;
        Lock& operator=(const Lock&) = delete;

      private:
        std::atomic_flag& flag_;
    };

    uint8_t* const ram_;
    const uint64_t bytes_;
    const int file_;
    const GuardedMapping alias_;
    std::atomic<uint8_t>* const states_;
    // Of pages that lie elsewhere, where this process has that memory; a sparse mapping too.
    std::atomic<uint8_t*>* const origins_;
    std::atomic_flag lock_ = ATOMIC_FLAG_INIT;
    Mark mark_ = nullptr;
    void* mark_context_ = nullptr;
    const std::shared_ptr<const FaultFile> faults_file_;
    std::atomic<uint64_t> withheld_{0}, maps_{0}, pages_mapped_{0}, faults_{0};
    host::WithheldMemory withheld_memory_;
};

}  // namespace arclight::mmu
