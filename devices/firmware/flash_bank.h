// The content of a flash bank: an array in memory that CPUs read and execute, and the host's file behind it.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "devices/virtio/image_lock.h"
#include "mmu/result.h"

namespace arclight::devices {

/// Not synchronised, but for readers of the array, who may see a byte before or after a write.
class FlashBank {
  public:
    /// `array` is zero, and outlives the bank. Without a file the content is lost at the end.
    explicit FlashBank(std::span<uint8_t> array) : array_(array) {}
    ~FlashBank();
    FlashBank(const FlashBank&) = delete;
    FlashBank& operator=(const FlashBank&) = delete;

    /// Fills the array's beginning from the file; what is behind the file's end stays zero, as with QEMU's -bios. With
    /// `writable`, write() goes to the file, too. Locks the file as QEMU does. An error is one line for the user.
    Result<void> open(const std::string& path, bool writable, virtio::ImageLocking locking);
    /// After open() without `writable`: the bank can be programmed, and the file stays as it is.
    void set_volatile() { readonly_ = false; }

    std::span<const uint8_t> array() const { return array_; }
    bool readonly() const { return readonly_; }
    /// Programs bytes, which the file has when this returns: what the guest has seen done survives the end of this process. The
    /// host's end it survives after a second of the guest's further writing, or when the bank is gone.
    /// False: the file cannot be written, and the array is as before.
    bool write(uint64_t offset, std::span<const uint8_t> bytes);

    /// The pages that are not zero, each after its number (4 bytes, little-endian): a saved state of a bank that can be
    /// written.
    std::vector<uint8_t> pages() const;
    /// Makes the array and the file so. False: damaged, or the file cannot be written; the array may be changed in part.
    bool set_pages(std::span<const uint8_t> pages);
    static constexpr uint64_t kPage = 4096;

  private:
    static constexpr std::chrono::seconds kSyncInterval{1};
    void sync();

    std::span<uint8_t> array_;
    int fd_ = -1;  ///< of a file that is written
    bool unsynced_ = false;
    std::chrono::steady_clock::time_point synced_at_;
    std::vector<int> locked_;
    bool readonly_ = false;
};

}  // namespace arclight::devices
