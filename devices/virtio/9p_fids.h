// What the guest has a number for: a name, and perhaps what is open behind it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "devices/virtio/9p_folder.h"
#include "devices/virtio/9p_names.h"

namespace arclight::devices::virtio::p9 {

/// An extended attribute that is read or written like a file.
struct XattrFile {
    std::string name;
    std::vector<uint8_t> value;
    bool writing = false;
    uint64_t written = 0;  ///< bytes of the value
    int flags = 0;         ///< of setxattr(2)
};

struct Fid {
    NameTree::Name name;
    uint32_t uid = 0;  ///< whose new files are
    Descriptor file;   ///< open file or directory; none
    int flags = 0;     ///< that it was opened with
    bool directory = false;
    std::unique_ptr<XattrFile> xattr;

    bool open() const { return static_cast<bool>(file) || xattr != nullptr; }
};

/// How many files a guest may have open: half of what the process may, whose limit this raises as far as it goes.
size_t descriptors_for_files();

class FidTable {
  public:
    /// What a guest may have of them, so that it cannot fill the host's memory or use up the process's descriptors.
    struct Limits {
        size_t fids = 1 << 20;
        size_t open = 4096;
        size_t name_bytes = size_t{256} << 20;
        size_t xattr_bytes = size_t{16} << 20;
    };
    explicit FidTable(const Limits& limits) : limits_(limits) {}

    NameTree& names() { return names_; }

    /// EBADF: there is none.
    Expected<Fid*> find(uint32_t number);
    /// EINVAL: the number is taken. ENFILE: no more of them.
    Status can_add(uint32_t number) const;
    Fid& add(uint32_t number, NameTree::Name name, uint32_t uid);
    /// EMFILE: no more open ones; they are counted here.
    Status can_open() const;
    Status can_hold_xattr(uint64_t bytes) const;
    void opened(Fid& fid, Descriptor file, int flags, bool directory);
    void hold_xattr(Fid& fid, std::unique_ptr<XattrFile> xattr);
    void remove(uint32_t number);
    void clear();

    const std::unordered_map<uint32_t, Fid>& all() const { return fids_; }

  private:
    const Limits limits_;
    NameTree names_;  // outlives the fids
    std::unordered_map<uint32_t, Fid> fids_;
    size_t open_ = 0;
    size_t xattr_bytes_ = 0;
};

}  // namespace arclight::devices::virtio::p9
