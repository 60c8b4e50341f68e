// Images that another process serves by the NBD protocol (as the NBD project describes it): formats other than raw are QEMU's to parse,
// outside this process.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/virtio/disk_storage.h"
#include "mmu/result.h"

namespace arclight::devices::virtio {

/// A connected socket to a server, with one export. Any thread; one request at a time. What the server answers is not trusted: an answer that
/// cannot be ends the connection, and all requests fail from then on.
class NbdConnection {
  public:
    /// Shakes hands; the socket becomes the connection's. An error is one line, without the image's name.
    static Result<std::shared_ptr<NbdConnection>> open(int socket);
    ~NbdConnection();
    NbdConnection(const NbdConnection&) = delete;
    NbdConnection& operator=(const NbdConnection&) = delete;

    /// All that was written is in the image's file, and the server ends; requests fail until renew().
    void hang_up();
    /// To another server of the same image; the socket becomes the connection's. An error is one line.
    Result<void> renew(int socket);

    uint64_t size() const { return size_; }
    bool readonly() const;

    DiskResult read(uint64_t offset, std::span<uint8_t> to);
    DiskResult write(uint64_t offset, std::span<const uint8_t> from);
    DiskResult flush();
    DiskResult discard(uint64_t offset, uint64_t length);
    DiskResult zero(uint64_t offset, uint64_t length, bool may_unmap);

  private:
    explicit NbdConnection(int socket) : socket_(socket) {}
    Result<void> shake_hands();
    bool send(std::span<const uint8_t> bytes) const;
    bool receive(std::span<uint8_t> bytes) const;
    DiskResult request(uint16_t command, uint16_t flags, uint64_t offset, uint64_t length,
                       std::span<const uint8_t> sent, std::span<uint8_t> received);
    DiskResult in_steps(uint16_t command, uint16_t flags, uint64_t offset, uint64_t length);
    bool can(uint16_t flag) const { return (flags_ & flag) != 0; }

    std::mutex lock_;
    int socket_;
    uint64_t size_ = 0;
    uint16_t flags_ = 0;
    uint64_t cookie_ = 0;
    bool broken_ = false;
};

/// A disk's storage over one; machines that follow each other use the same.
class NbdStorage final : public DiskStorage {
  public:
    explicit NbdStorage(std::shared_ptr<NbdConnection> connection) : connection_(std::move(connection)) {}
    DiskResult read(uint64_t offset, DiskBuffers buffers) override;
    DiskResult write(uint64_t offset, DiskBuffers buffers) override;
    DiskResult flush() override { return connection_->flush(); }
    DiskResult discard(uint64_t offset, uint64_t length) override {
        return connection_->discard(offset, length);
    }
    DiskResult zero(uint64_t offset, uint64_t length, bool may_unmap) override {
        return connection_->zero(offset, length, may_unmap);
    }

  private:
    std::shared_ptr<NbdConnection> connection_;
    std::vector<uint8_t> copy_;  // the guest's memory may be lost in the middle of a transfer
};

}  // namespace arclight::devices::virtio
