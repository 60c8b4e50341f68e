#include "devices/virtio/shared_disk.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace arclight::devices::virtio {

namespace {
/// Of the instances beside the own one: what is recorded is the own one's, and io_uring is set up before the sandbox closes.
DiskImage::Options of_others(DiskImage::Options options) {
    options.record.clear();
    options.ring = false;
    return options;
}
}  // namespace

SharedDisk::SharedDisk(DiskImage own, DiskImage::Options options) : options_(of_others(std::move(options))) {
    images_.push_back(std::make_unique<DiskImage>(std::move(own)));
}

Result<unsigned> SharedDisk::add(const std::string& path) {
    auto image = DiskImage::open(path, options_);
    if (!image) return std::unexpected(image.error());
    const std::lock_guard guard(lock_);
    const DiskImage& own = *images_.front();
    if (image->size() != own.size())
        return failure("disk image '{}': {} bytes cannot stand in for '{}', which has {}", path,
                       image->size(), own.name(), own.size());
    images_.push_back(std::make_unique<DiskImage>(std::move(*image)));
    return static_cast<unsigned>(images_.size() - 1);
}

Result<void> SharedDisk::select(unsigned instance) {
    const std::lock_guard guard(lock_);
    if (instance >= images_.size()) return failure("there is no image {}", instance);
    if (!options_.readonly)
        if (auto flushed = images_[selected_]->flush(); !flushed)
            return failure("disk image '{}': flush failed: {}", images_[selected_]->name(),
                           std::strerror(flushed.error().number));
    selected_ = instance;
    return {};
}

void SharedDisk::refuse(bool refuse) {
    const std::lock_guard guard(lock_);
    refused_ = refuse;
}

template <typename Act>
DiskResult SharedDisk::by_selected(Act&& act) {
    const std::lock_guard guard(lock_);
    if (refused_) return std::unexpected(DiskError{EIO});
    return act(*images_[selected_]);
}

DiskResult SharedDisk::read(uint64_t offset, DiskBuffers buffers) {
    return by_selected([&](DiskImage& image) { return image.read(offset, buffers); });
}

DiskResult SharedDisk::write(uint64_t offset, DiskBuffers buffers) {
    return by_selected([&](DiskImage& image) { return image.write(offset, buffers); });
}

void SharedDisk::run(std::span<DiskTransfer> transfers) {
    const auto done = by_selected([&](DiskImage& image) -> DiskResult {
        image.run(transfers);
        return {};
    });
    if (!done)
        for (DiskTransfer& one : transfers) one.result = done;
}

DiskResult SharedDisk::flush() {
    return by_selected([](DiskImage& image) { return image.flush(); });
}

DiskResult SharedDisk::discard(uint64_t offset, uint64_t length) {
    return by_selected([&](DiskImage& image) { return image.discard(offset, length); });
}

DiskResult SharedDisk::zero(uint64_t offset, uint64_t length, bool may_unmap) {
    return by_selected([&](DiskImage& image) { return image.write_zeroes(offset, length, may_unmap); });
}

}  // namespace arclight::devices::virtio
