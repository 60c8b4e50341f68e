// Requests about the session and its fids.
#include <cerrno>

#include "devices/virtio/9p_server.h"

namespace arclight::devices::virtio::p9 {

namespace {
constexpr std::string_view kVersion = "9P2000.L";
}

Status Server::version(Request& request) {
    const uint32_t wanted = request.in.u32();
    const std::string_view name = request.in.text();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    reset();
    const bool known = name == kVersion;
    if (known && wanted < kMinMessage) return std::unexpected(EMSGSIZE);
    const uint32_t msize = std::min(wanted, kMaxMessage);
    if (known) msize_ = msize;
    request.out.u32(msize);
    request.out.text(known ? kVersion : "unknown");
    return {};
}

// There is one tree, and who may do what in it the guest decides: `uname`, `aname` and `afid` have no meaning.
Status Server::attach(Request& request) {
    const uint32_t number = request.in.u32();
    request.in.u32();
    request.in.text();
    request.in.text();
    const uint32_t uid = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    if (auto addable = fids_.can_add(number); !addable) return addable;
    const NameTree::Name root = fids_.names().root();
    const auto place = place_of(root);
    if (!place) return std::unexpected(place.error());
    if (auto written = write_qid(request.out, *place); !written) return written;
    fids_.add(number, root, uid);
    return {};
}

Status Server::walk(Request& request) {
    const uint32_t number = request.in.u32(), new_number = request.in.u32();
    const uint16_t count = request.in.u16();
    if (count > kMaxWalk) return std::unexpected(EINVAL);
    std::vector<std::string_view> names;
    names.reserve(count);
    for (unsigned i = 0; i < count; i++) names.push_back(request.in.text());
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    if ((*fid)->xattr != nullptr || (number == new_number && (*fid)->file)) return std::unexpected(EINVAL);
    if (number != new_number)
        if (auto addable = fids_.can_add(new_number); !addable) return addable;

    NameTree::Name name = (*fid)->name;
    const uint32_t uid = (*fid)->uid;
    const size_t count_at = request.out.size();
    request.out.u16(0);
    uint16_t walked = 0;
    for (const std::string_view part : names) {
        Status step = check_name(part);
        if (step && security_.hides(part)) step = std::unexpected(ENOENT);
        NameTree::Name next = name;
        if (step && part == "..") next = name.parent();
        if (step && part != "." && part != "..") next = name.child(part);
        if (step) {
            const auto place = place_of(next);
            step = place ? write_qid(request.out, *place) : std::unexpected(place.error());
        }
        if (!step && walked == 0) return step;
        if (!step) break;
        name = std::move(next);
        walked++;
    }
    request.out.set_u16(count_at, walked);
    // Of a walk that ends early the guest gets the part, but no fid.
    if (walked != names.size()) return {};
    if (number == new_number)
        (*fid)->name = std::move(name);
    else
        fids_.add(new_number, std::move(name), uid);
    return {};
}

// The fid is gone, whatever comes of the attribute that it has written.
Status Server::clunk(uint32_t number) {
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    Status done;
    if ((*fid)->xattr != nullptr && (*fid)->xattr->writing) done = write_xattr_back(**fid);
    fids_.remove(number);
    return done;
}

Status Server::clunk(Request& request) {
    const uint32_t number = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    return clunk(number);
}

}  // namespace arclight::devices::virtio::p9
