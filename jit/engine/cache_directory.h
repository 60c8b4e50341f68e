// A directory for files that later runs of the program execute code from: what makes them this user's alone, and whole.
//
// It is opened once, so that a jail may close every other way to it afterwards. Several runs may share it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "jit/engine/cache_key.h"
#include "mmu/result.h"

namespace arclight::jit {

/// How names of files with code end: LLVM's regions, tier 1's blocks.
inline constexpr std::string_view kRegionEnding = ".region", kBlocksEnding = ".blocks";

/// Owns a file descriptor; -1: none.
class OpenFile {
  public:
    OpenFile() = default;
    explicit OpenFile(int fd) : fd_(fd) {}
    ~OpenFile();
    OpenFile(OpenFile&& other) noexcept;
    OpenFile& operator=(OpenFile&& other) noexcept;
    explicit operator bool() const { return fd_ >= 0; }
    int fd() const { return fd_; }
    /// False: not all of it is there, or was written.
    bool read_at(uint64_t offset, char* to, size_t bytes) const;
    bool append(std::string_view what) const;

  private:
    int fd_ = -1;
};

/// Whether it is this user's, with none of these rights for others.
bool is_own(const struct stat& about, mode_t forbidden);

class CacheDirectory {
  public:
    /// Makes it with mode 0700 if it is not there. An error, one line for the user: it cannot be made, or others may write
    /// to it.
    static Result<std::unique_ptr<CacheDirectory>> open(const std::string& path);
    ~CacheDirectory();
    CacheDirectory(const CacheDirectory&) = delete;
    CacheDirectory& operator=(const CacheDirectory&) = delete;

    struct Found {
        OpenFile file;
        uint64_t bytes = 0;
        bool gone = false;  ///< there is no file of this name
    };
    /// To read a regular file that no other user may write to or has made; else Found::file is none.
    Found open_file(const std::string& name) const;
    /// A new file, which has no name that anybody asks for before publish(): to append to.
    struct Draft {
        OpenFile file;
        std::string temporary;
    };
    Draft make_draft();
    bool publish(const Draft& draft, const std::string& name) const;
    void discard(const Draft& draft) const { remove(draft.temporary); }
    /// Whether it was there.
    bool remove(const std::string& name) const;
    void each_name(const std::function<void(const std::string&)>& f) const;

    struct Eviction {
        uint64_t bytes = 0;  ///< of the files that are left
        uint64_t removed = 0;
    };
    /// With more than max_bytes of files with code, of whichever store: down to nine tenths, the ones used least recently first.
    /// Drafts of runs that have ended go too.
    Eviction evict(uint64_t max_bytes, const std::function<void(const std::string&)>& on_removed = {}) const;

  private:
    explicit CacheDirectory(int fd) : fd_(fd) {}
    const int fd_;
    unsigned next_draft_ = 0;
};

/// The directory and what authenticates its files: what a store of code begins with.
struct OwnCache {
    std::unique_ptr<CacheDirectory> directory;
    std::shared_ptr<const CacheKey> key;
    /// With `key`, key_file is not looked at.
    static Result<OwnCache> open(const std::string& directory, const std::string& key_file,
                                 std::shared_ptr<const CacheKey> key);
};

/// Says which host CPU this is, by what code generators look at.
uint64_t host_cpu_identity();

}  // namespace arclight::jit
