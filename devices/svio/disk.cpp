#include "devices/svio/disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "devices/virtio/blk.h"

namespace arclight::devices::svio {

namespace {

constexpr size_t kConfigBytes = 60;  // virtio 1.2 section 5.2.4
constexpr uint64_t kFeatureConfigWce = 1ull << 11;
constexpr unsigned kRequests = 0;
constexpr unsigned kBatch = 16;
// All interfaces wait while one is served: no request is larger than this, and a batch is over after so much.
constexpr uint64_t kMaxRequest = 64 << 20, kMaxRange = 16 << 20, kBatchBytes = 1 << 20;
constexpr size_t kMaxDiscardSectors = 36, kMaxWriteZeroesSectors = 48;  // in the configuration

/// A part of an image, which checks that requests are in it.
class Part final : public virtio::DiskStorage {
  public:
    Part(virtio::DiskImage& image, uint64_t offset) : image_(image), offset_(offset) {}

    virtio::DiskResult read(uint64_t offset, virtio::DiskBuffers buffers) override {
        return image_.read(offset_ + offset, buffers);
    }
    virtio::DiskResult write(uint64_t offset, virtio::DiskBuffers buffers) override {
        return image_.write(offset_ + offset, buffers);
    }
    void run(std::span<virtio::DiskTransfer> transfers) override {
        for (virtio::DiskTransfer& one : transfers) one.offset += offset_;
        image_.run(transfers);
    }
    virtio::DiskResult flush() override { return image_.flush(); }
    virtio::DiskResult discard(uint64_t offset, uint64_t length) override {
        if (length > kMaxRange) return std::unexpected(virtio::DiskError{EINVAL});
        return image_.discard(offset_ + offset, length);
    }
    virtio::DiskResult zero(uint64_t offset, uint64_t length, bool may_unmap) override {
        if (length > kMaxRange) return std::unexpected(virtio::DiskError{EINVAL});
        return image_.write_zeroes(offset_ + offset, length, may_unmap);
    }

  private:
    virtio::DiskImage& image_;
    const uint64_t offset_;
};

}  // namespace

class DiskPort final : public Port {
  public:
    DiskPort(DiskResource& resource, virtio::Disk disk) : resource_(resource), blk_(std::move(disk)) {}
    ~DiskPort() override {
        std::erase_if(resource_.parts_, [this](const auto& part) { return part.port == this; });
    }

    vhost_user::BackEnd::Device device() const override {
        std::vector<uint8_t> config(kConfigBytes);
        for (size_t i = 0; i < config.size(); ++i) config[i] = blk_.read_config(i);
        const auto most = static_cast<uint32_t>(kMaxRange / virtio::DiskImage::kSectorSize);
        for (const size_t at : {kMaxDiscardSectors, kMaxWriteZeroesSectors})
            std::memcpy(&config[at], &most, sizeof most);
        return {.features = blk_.features() & ~kFeatureConfigWce, .queues = 1, .config = std::move(config)};
    }
    void connect(vhost_user::BackEnd* front) override {
        front_ = front;
        touched_ = false;
        if (front != nullptr)
            blk_.set_features(front->features());
        else
            blk_.reset();
    }
    bool waiting() override {
        const virtio::Queue* queue = running();
        return queue != nullptr && queue->waiting();
    }
    Work serve() override;
    void signal() override {
        if (std::exchange(touched_, false) && front_ != nullptr) front_->interrupt(kRequests);
    }
    bool arm() override {
        virtio::Queue* const queue = running();
        return queue != nullptr && queue->enable_notification();
    }
    void disarm() override {
        if (virtio::Queue* const queue = running(); queue != nullptr) queue->disable_notification();
    }

  private:
    virtio::Queue* running() const { return front_ != nullptr ? front_->running(kRequests) : nullptr; }

    DiskResource& resource_;
    mutable virtio::Blk blk_;
    vhost_user::BackEnd* front_ = nullptr;
    bool touched_ = false;
};

Port::Work DiskPort::serve() {
    Work work;
    virtio::Queue* const queue = running();
    if (queue == nullptr) return work;
    std::vector<virtio::Chain> chains;
    for (uint64_t asked = 0; chains.size() < kBatch && asked < kBatchBytes;) {
        virtio::Chain chain;
        const auto popped = queue->pop(chain);
        if (popped == virtio::Queue::Pop::None) break;
        const uint64_t bytes = popped == virtio::Queue::Pop::Chain
                                   ? chain.readable_size() + chain.writable_size()
                                   : ~uint64_t{0};
        if (bytes > kMaxRequest) {
            front_->fail(kRequests);
            return work;
        }
        asked += bytes;
        work.bytes += chain.readable_size();
        counts.sent_bytes += chain.readable_size();
        chains.push_back(std::move(chain));
    }
    work.messages = chains.size();
    counts.sent += chains.size();
    std::vector<virtio::Served> served(chains.size(), virtio::Served::malformed());
    blk_.process_all(kRequests, chains, served);
    std::vector<virtio::Used> used;
    for (size_t i = 0; i < chains.size(); ++i) {
        if (!served[i].is_done()) {
            front_->fail(kRequests);
            return work;
        }
        used.push_back({chains[i].head, served[i].written()});
        work.bytes += served[i].written();
        counts.received_bytes += served[i].written();
    }
    counts.received += used.size();
    queue->push(used);
    touched_ |= !used.empty();
    return work;
}

Result<std::unique_ptr<DiskResource>> DiskResource::open(const std::string& path,
                                                         const virtio::DiskImage::Options& options,
                                                         MachineHost* host) {
    auto image = virtio::DiskImage::open(path, options);
    if (!image) return std::unexpected(image.error());
    return std::unique_ptr<DiskResource>(new DiskResource(std::move(*image), host));
}

Result<std::unique_ptr<Port>> DiskResource::make_port(const PortOptions& options) {
    constexpr uint64_t kSector = virtio::DiskImage::kSectorSize;
    const uint64_t all = image_.size();
    const uint64_t size = options.size == 0 && options.offset < all ? all - options.offset : options.size;
    if (options.offset % kSector != 0 || size % kSector != 0)
        return failure("offset and size are no whole sectors of {} bytes", kSector);
    if (size == 0 || options.offset > all || size > all - options.offset)
        return failure("the part from {} of {} bytes is not in the image, which has {}", options.offset, size,
                       all);
    const bool readonly = options.readonly || image_.readonly();
    const uint64_t end = options.offset + size;
    for (const Part& part : parts_)
        if (part.begin < end && options.offset < part.end && !(readonly && part.readonly))
            return failure("the part from {} of {} bytes is in another interface's too", options.offset,
                           size);
    // Parts do not look like images of another format by what one of them writes: that is the image's to see.
    virtio::DiskOptions disk_options{.image = {.readonly = readonly, .raw = true},
                                     .on_write_error = virtio::OnDiskError::Report,
                                     .host = host_};
    auto disk = virtio::Disk::over(image_.name(), std::make_unique<svio::Part>(image_, options.offset), size,
                                   std::move(disk_options));
    if (!disk) return std::unexpected(disk.error());
    auto port = std::make_unique<DiskPort>(*this, std::move(*disk));
    parts_.push_back({port.get(), options.offset, end, readonly});
    return port;
}

}  // namespace arclight::devices::svio
