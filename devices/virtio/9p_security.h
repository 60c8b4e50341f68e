// Security models: whose the files are, and what they are, for the guest and on the host. The words and what is stored are
// QEMU's (hw/9pfs/9p-local.c), so that a directory can be used by either.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/virtio/9p_folder.h"

namespace arclight::devices::virtio::p9 {

enum class SecurityModel : uint8_t {
    None,         ///< as Passthrough, but a file may stay this process's own
    MappedXattr,  ///< in attributes `user.virtfs.*` of each file
    MappedFile,   ///< in files of a directory `.virtfs_metadata` beside each file
    Passthrough,  ///< on the host as in the guest, which wants privileges
};

/// Of a new file. Mode: with the type.
struct Credentials {
    uint32_t uid, gid, mode;
    uint64_t device = 0;
};

/// What a mapped model has of a file. What it has not is as on the host.
struct Mapping {
    std::optional<uint32_t> uid, gid, mode;
    std::optional<uint64_t> device;
    void apply(struct stat& info) const;
};

class Security {
  public:
    explicit Security(SecurityModel model) : model_(model) {}

    /// An existing file: by a descriptor, which may have O_PATH, and by its place, null if it has no name any more.
    struct Target {
        int fd;
        const Place* place;
    };

    /// Whether a name is one of the model's own, which no guest sees.
    bool hides(std::string_view name) const;
    /// Whether what a file is in the guest may differ from what it is on the host.
    bool maps() const { return model_ == SecurityModel::MappedXattr || model_ == SecurityModel::MappedFile; }
    /// Whether that is found by the file's name and not by the file.
    bool keeps_beside() const { return model_ == SecurityModel::MappedFile; }

    Expected<struct stat> stat(const Place& place) const;
    Expected<struct stat> stat(const Target& target) const;
    Expected<std::string> readlink(const Place& place) const;

    /// With O_CREAT | O_EXCL.
    Expected<Descriptor> create(const Place& place, int flags, const Credentials& credentials) const;
    Status mkdir(const Place& place, const Credentials& credentials) const;
    Status mknod(const Place& place, const Credentials& credentials) const;
    Status symlink(const Place& place, const std::string& to, const Credentials& credentials) const;
    Status link(const Place& from, const Place& to) const;
    Status rename(const Place& from, const Place& to) const;
    Status remove(const Place& place, bool directory) const;

    Status chmod(const Target& target, uint32_t mode) const;
    /// ~0 leaves one as it is; both: the time of the last change alone becomes new.
    Status chown(const Target& target, uint32_t uid, uint32_t gid) const;

    // Extended attributes.
    static constexpr size_t kMaxXattr = 65536;
    Expected<std::vector<uint8_t>> get_xattr(const Target& target, const std::string& name) const;
    Status set_xattr(const Target& target, const std::string& name, const std::vector<uint8_t>& value,
                     int flags) const;
    Status remove_xattr(const Target& target, const std::string& name) const;
    /// Names, each ended by a NUL.
    Expected<std::vector<uint8_t>> list_xattrs(const Target& target) const;

  private:
    Expected<std::string> host_xattr(const std::string& name, Error hidden) const;
    Status own(const Place& place, const Credentials& credentials) const;
    Status store(const Target& target, const Mapping& mapping) const;
    Mapping load(const Target& target) const;

    SecurityModel model_;
};

// Where the mapped models keep things (9p_mapping.cpp).
Mapping load_xattr_mapping(int fd);
Mapping load_xattr_mapping(const Place& place);
Status store_xattr_mapping(int fd, const Mapping& mapping);
Mapping load_file_mapping(const Place& place);
/// What is not given stays.
Status store_file_mapping(const Place& place, const Mapping& mapping);
Status link_file_mapping(const Place& from, const Place& to);
Status rename_file_mapping(const Place& from, const Place& to);
/// A file's own, and those beneath a directory that is to be removed.
void remove_file_mapping(const Place& place);
void remove_file_mappings_in(const Place& directory);
bool is_mapping_file(std::string_view name);

}  // namespace arclight::devices::virtio::p9
