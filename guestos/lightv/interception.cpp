#include "guestos/lightv/interception.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "devices/virtio/shared_disk.h"
#include "mmu/result.h"

namespace arclight::guestos {

namespace {
constexpr const char* kUart = "pl011";
constexpr std::string_view kDisk = "disk", kFile = "file:";

class FileBackend final : public devices::CharBackend {
  public:
    explicit FileBackend(std::FILE* file) : file_(file) { std::setvbuf(file_, nullptr, _IOLBF, 4096); }
    ~FileBackend() override { std::fclose(file_); }
    FileBackend(const FileBackend&) = delete;
    FileBackend& operator=(const FileBackend&) = delete;
    void write(std::span<const uint8_t> bytes) override {
        (void)std::fwrite(bytes.data(), 1, bytes.size(), file_);
    }

  private:
    std::FILE* file_;
};
}  // namespace

/// Stands on the bus where the UART was and lets one of several answer. A switch waits for accesses that have
/// begun, so that the next instance goes on exactly where the last one was left.
class Interception::Uarts final : public devices::Device {
  public:
    explicit Uarts(devices::Pl011& own) : selected_(&own) { instances_.push_back(&own); }

    uint64_t read(uint64_t offset, unsigned size) override {
        const std::shared_lock guard(lock_);
        return selected_->read(offset, size);
    }
    void write(uint64_t offset, uint64_t value, unsigned size) override {
        const std::shared_lock guard(lock_);
        selected_->write(offset, value, size);
    }
    unsigned add(std::FILE* file, devices::IrqLine line) {
        backends_.push_back(std::make_unique<FileBackend>(file));
        further_.push_back(std::make_unique<devices::Pl011>(*backends_.back(), line));
        further_.back()->disconnect();
        instances_.push_back(further_.back().get());
        return static_cast<unsigned>(instances_.size() - 1);
    }
    bool select(unsigned instance) {
        if (instance >= instances_.size()) return false;
        const std::unique_lock guard(lock_);
        instances_[instance]->take_over(*selected_);
        selected_ = instances_[instance];
        return true;
    }

  private:
    std::shared_mutex lock_;
    devices::Pl011* selected_;
    std::vector<devices::Pl011*> instances_;
    std::vector<std::unique_ptr<FileBackend>> backends_;
    std::vector<std::unique_ptr<devices::Pl011>> further_;
};

Interception::Interception(MachineAccess& machine) : machine_(machine) {}
Interception::~Interception() = default;

void Interception::forget(std::span<const uint64_t> pages, bool content) {
    machine_.forget_pages(pages, content);
}

void Interception::forget_code(std::span<const uint64_t> pages, bool content, bool fetches) {
    machine_.forget_code(pages, content, fetches);
}

/// disk0, disk1 ...
devices::virtio::SharedDisk* Interception::find_disk(const std::string& device) const {
    const auto disks = machine_.shared_disks();
    for (size_t n = 0; n < disks.size(); ++n)
        if (device == fmt::format("{}{}", kDisk, n)) return disks[n];
    return nullptr;
}

bool Interception::has_device(const std::string& device) {
    if (find_disk(device) != nullptr) return true;
    const auto all = machine_.bus().stats();
    return std::ranges::any_of(all, [&](const auto& mapping) { return mapping.name == device; });
}

Result<unsigned> Interception::add_instance(const std::string& device, const std::string& backend) {
    if (devices::virtio::SharedDisk* disk = find_disk(device); disk != nullptr) {
        if (!backend.starts_with(kFile))
            return failure("'{}': a disk's requests go to own or file:PATH", backend);
        return disk->add(backend.substr(kFile.size()));
    }
    if (device != kUart)
        return failure("'{}' has no further instances; {} and raw disks ({}0 ...) can have them", device,
                       kUart, kDisk);
    if (!backend.starts_with("file:"))
        return std::unexpected(fmt::format("'{}': a {} writes to own or file:PATH", backend, kUart));
    std::FILE* file = std::fopen(backend.substr(5).c_str(), "wbe");
    if (file == nullptr)
        return std::unexpected(fmt::format("cannot write '{}': {}", backend.substr(5), strerror(errno)));
    if (!uarts_) {
        uarts_ = std::make_unique<Uarts>(machine_.uart());
        machine_.bus().intercept(kUart, uarts_.get());
    }
    return uarts_->add(file, machine_.uart_line());
}

Result<void> Interception::select_instance(const std::string& device, unsigned instance) {
    if (devices::virtio::SharedDisk* disk = find_disk(device); disk != nullptr) return disk->select(instance);
    if (instance == 0 && !uarts_) return {};
    if (device != kUart || !uarts_->select(instance))
        return std::unexpected(fmt::format("'{}' has no instance {}", device, instance));
    return {};
}

void Interception::refuse_device(const std::string& device, bool refuse) {
    if (devices::virtio::SharedDisk* disk = find_disk(device); disk != nullptr) {
        disk->refuse(refuse);
    } else if (refuse) {
        machine_.bus().intercept(device, nullptr);
    } else if (device == kUart && uarts_) {
        machine_.bus().intercept(device, uarts_.get());
    } else {
        machine_.bus().restore(device);
    }
}

}  // namespace arclight::guestos
