// The disk, behind its transport. Whatever the guest asks for, a read-only image stays as it is, and the image keeps its size
// and its format.
#include <fcntl.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/image_format.h"
#include "tests/fuzz/targets/scratch_file.h"
#include "tests/fuzz/targets/virtio_guest.h"

namespace arclight::fuzz {
namespace {

using namespace devices::virtio;

constexpr uint64_t kSectors = 64;

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    const uint8_t options = in.u8();
    std::vector<uint8_t> content(kSectors * DiskImage::kSectorSize);
    for (size_t i = 0; i < content.size(); i++) content[i] = static_cast<uint8_t>(i / 512 + i);
    const ScratchFile file(content);
    const bool readonly = (options & 1) != 0, snapshot = (options & 2) != 0;
    auto blk =
        Blk::open(file.path(), {.image = {.readonly = readonly, .snapshot = snapshot}, .serial = "fuzz"});
    require(blk.has_value(), "an image can be opened");
    {
        VirtioGuest guest(std::move(*blk));
        guest.run(in);
    }
    std::vector<uint8_t> after(content.size() + 1);
    const int fd = open(file.path().c_str(), O_RDONLY | O_CLOEXEC);
    const ssize_t size = pread(fd, after.data(), after.size(), 0);
    close(fd);
    require(size == static_cast<ssize_t>(content.size()), "the image keeps its size");
    after.pop_back();
    if (readonly || snapshot) require(after == content, "an image that is not written to stays as it is");
    const std::span<const uint8_t> all(after);
    require(probe_image_format(all.first(kImageProbeSize), all.last(kImageProbeSize)) == nullptr,
            "a guest cannot make its image one of another format");
}

const Registered registered({.name = "virtio_blk",
                             .run = run,
                             .max_size = 1024,
                             .words = {"QFI\xfb", "KDMV", "vhdxfile", "conectix"}});

}  // namespace
}  // namespace arclight::fuzz
