#include "devices/virtio/9p.h"

#include <array>
#include <cstring>
#include <limits>
#include <utility>

namespace arclight::devices::virtio {

namespace {

constexpr uint64_t kFeatureMountTag = 1;

std::vector<std::span<uint8_t>> behind(std::span<const std::span<uint8_t>> buffers, size_t skipped,
                                       uint64_t bytes) {
    std::vector<std::span<uint8_t>> rest;
    for (const auto& buffer : buffers) {
        const size_t skip = std::min(buffer.size(), skipped);
        const size_t take = std::min<uint64_t>(buffer.size() - skip, bytes);
        if (take != 0) rest.push_back(buffer.subspan(skip, take));
        skipped -= skip;
        bytes -= take;
    }
    return rest;
}

}  // namespace

Result<std::unique_ptr<P9>> P9::open(const std::string& path, Options options) {
    auto folder = p9::Folder::open(path);
    if (!folder) return std::unexpected(folder.error());
    if (options.host != nullptr)
        options.server.warn_multidevs = [host = options.host, path] {
            host->say(fmt::format(
                "shared directory '{}' has files of several devices: the guest may take two of them for "
                "one; multidevs=remap keeps them apart",
                path));
        };
    return std::make_unique<P9>(std::move(options.tag), std::move(*folder), std::move(options.server));
}

uint64_t P9::features() const { return kFeatureMountTag; }

// le16 length, then the tag.
uint8_t P9::read_config(uint64_t offset) {
    if (offset == 0) return static_cast<uint8_t>(tag_.size());
    if (offset == 1) return static_cast<uint8_t>(tag_.size() >> 8);
    return offset - 2 < tag_.size() ? static_cast<uint8_t>(tag_[offset - 2]) : 0;
}

Served P9::process(unsigned, Chain& chain) {
    std::array<uint8_t, p9::kHeaderSize> header;
    const uint64_t room = chain.writable_size();
    if (gather(chain.readable, header) != header.size() || room < p9::kReadReplySize)
        return Served::malformed();
    uint32_t size = 0;
    std::memcpy(&size, header.data(), sizeof size);
    if (size < p9::kHeaderSize || size > chain.readable_size() || size > p9::kMaxMessage)
        return Served::malformed();
    // What is written to files goes there from where it is; all else is looked at in a copy.
    const bool write = header[4] == static_cast<uint8_t>(p9::Type::Write);
    const size_t copied = write ? std::min<size_t>(size, p9::kWriteRequestSize) : size;
    message_.resize(copied);
    if (gather(chain.readable, message_) != copied) return Served::malformed();
    // The guest may have changed what was looked at before the copy was made.
    std::memcpy(message_.data(), header.data(), header.size());

    const auto data = behind(chain.readable, copied, size - copied);
    const auto direct_room = behind(chain.writable, p9::kReadReplySize, std::numeric_limits<uint64_t>::max());
    const uint32_t direct = server_.serve(message_, data, direct_room, room, reply_);
    // The memory for the reply may be gone.
    if (scatter(reply_, chain.writable) != reply_.size()) return Served::malformed();
    return Served::done(static_cast<uint32_t>(reply_.size() + direct));
}

}  // namespace arclight::devices::virtio
