#include "devices/virtio/disk.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "devices/virtio/shared_disk.h"

namespace arclight::devices::virtio {

static Disk with_image(DiskImage image, DiskOptions options) {
    if (image.length() != image.size() && options.host != nullptr) {
        options.host->say(fmt::format(
            "disk image '{}': {} bytes are no whole sectors: the guest sees {}, the last {} of them zeros",
            image.name(), image.length(), image.size(), image.size() - image.length()));
    }
    if (!image.ring_error().empty() && options.host != nullptr)
        options.host->say(
            fmt::format("disk image '{}': io_uring is not to be had ({}): requests are carried out one "
                        "after the other, as with aio=threads",
                        image.name(), image.ring_error()));
    return {std::move(image), std::move(options)};
}

Result<Disk> Disk::open(const std::string& path, DiskOptions options) {
    auto image = DiskImage::open(path, options.image);
    if (!image) return std::unexpected(image.error());
    return with_image(std::move(*image), std::move(options));
}

Result<Disk> Disk::open_shared(const std::string& path, DiskOptions options, SharedDisk*& shared) {
    auto own = open(path, options);
    if (!own) return own;
    const uint64_t length = own->image_.length();
    const DiskImage::Options image_options = options.image;
    auto storage = std::make_unique<SharedDisk>(std::move(own->image_), image_options);
    shared = storage.get();
    DiskImage::Options outer = options.image;
    outer.record.clear();
    auto image = DiskImage::over(path, std::move(storage), length, std::move(outer));
    if (!image) return std::unexpected(image.error());
    return Disk(std::move(*image), std::move(options));
}

Result<Disk> Disk::over(const std::string& path, std::unique_ptr<DiskStorage> storage, uint64_t length,
                        DiskOptions options) {
    auto image = DiskImage::over(path, std::move(storage), length, options.image);
    if (!image) return std::unexpected(image.error());
    return with_image(std::move(*image), std::move(options));
}

Disk::Action Disk::failed(Operation operation, const DiskError& error) {
    const Action action = action_on(operation, error);
    tell(operation, error, action);
    return action;
}

Disk::Action Disk::action_on(Operation operation, const DiskError& error) const {
    using enum DiskError::Kind;
    const OnDiskError wanted =
        operation == Operation::Read ? options_.on_read_error : options_.on_write_error;
    // What is refused is the guest's doing, and of a flush after a failed one no other try comes out well.
    if (error.kind == Refused) return Action::Report;
    // Nor is it the disk's: the guest's memory is gone (host/memory_fault.h), and stays so.
    if (error.number == EFAULT) return Action::Report;
    if (wanted == OnDiskError::Ignore) return Action::Ignore;
    const bool stop =
        wanted == OnDiskError::Stop || (wanted == OnDiskError::Enospc && error.number == ENOSPC);
    return stop && error.kind != EarlierFlush && options_.host != nullptr ? Action::Stop : Action::Report;
}

// Each kind of error once, but each pause.
void Disk::tell(Operation operation, const DiskError& error, Action action) {
    using enum DiskError::Kind;
    if (options_.host == nullptr || error.kind == EarlierFlush) return;
    const int number = error.kind == Refused ? 0 : error.number;
    const bool first = told_.emplace(error.kind == Flush ? Operation::Flush : operation, number).second;
    if (!first && action != Action::Stop) return;
    static constexpr std::string_view kNames[] = {"read", "write", "flush", "discard", "write of zeros"};
    std::string line = fmt::format("disk image '{}': ", image_.name());
    if (error.kind == Refused) {
        line += fmt::format("refused to let the guest turn it into {}; format=raw with the drive lets it",
                            error.format);
    } else if (error.kind == Flush) {
        line +=
            fmt::format("flush failed: {}; earlier writes may be lost, and all flushes fail until a restart",
                        std::strerror(error.number));
    } else {
        line +=
            fmt::format("{} failed: {}", kNames[static_cast<size_t>(operation)], std::strerror(error.number));
        if (action == Action::Report) line += "; the guest sees an I/O error (said once)";
        if (action == Action::Ignore) line += "; ignored (said once)";
    }
    if (action == Action::Stop)
        options_.host->pause(line);
    else
        options_.host->say(line);
}

}  // namespace arclight::devices::virtio
