#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/vfio/container.h"
#include "devices/vfio/system.h"
#include "mmu/result.h"

namespace arclight::devices::vfio {

/// A PCI address of the host's, with its domain: 0000:01:00.0. Nothing: the text is none.
std::optional<std::string> full_address(std::string_view text);

/// The IOMMU group of a device that is bound to vfio-pci. An error is one line for the user, without the device's name.
Result<unsigned> group_of(const std::string& address, const System& system);

/// A PCI function of the host's that its driver vfio-pci has given to this process. From its first reset on its memory is switched on,
/// so that what is mapped of it can be accessed. Any thread, but no two calls about interrupts or a reset at a time.
class HostDevice {
  public:
    static constexpr unsigned kBars = 6;
    static constexpr unsigned kConfigSize = 4096;
    enum class Interrupt : uint8_t { Pin = 0, Msi = 1, Msix = 2 };  ///< VFIO's numbers

    /// An error is one line for the user, without the device's name.
    static Result<std::shared_ptr<HostDevice>> open(const std::string& address,
                                                    const std::shared_ptr<Container>& container);
    ~HostDevice();
    HostDevice(const HostDevice&) = delete;
    HostDevice& operator=(const HostDevice&) = delete;

    const std::string& address() const { return address_; }
    Container& container() const { return *container_; }

    /// All of it, as the host's kernel shows it.
    std::vector<uint8_t> config() const;
    /// All ones if it cannot be read.
    uint32_t config_read(unsigned offset, unsigned size) const;
    void config_write(unsigned offset, uint32_t value, unsigned size);

    /// 0: there is no such BAR, or it is the upper half of one.
    uint64_t bar_size(unsigned bar) const { return bars_[bar].size; }
    /// One access of this size: of what is mapped, without a system call. All of it is inside the BAR.
    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) const;
    void bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned size);
    /// How many bytes of it are mapped.
    uint64_t bar_mapped(unsigned bar) const;

    /// How many interrupts of a kind it has.
    unsigned interrupts(Interrupt kind) const { return interrupts_[static_cast<size_t>(kind)]; }
    /// Each interrupt from the first on is an event of one of these.
    Result<void> start(Interrupt kind, std::span<const int> eventfds);
    void stop(Interrupt kind);
    /// The host has masked the pin when it told of it.
    void unmask_pin();
    /// False: it cannot be reset.
    bool reset();

  private:
    struct Area {
        uint64_t offset = 0, size = 0;
        uint8_t* host = nullptr;
    };
    struct Bar {
        uint64_t size = 0;
        uint64_t place = 0;  ///< in the device's file
        std::vector<Area> areas;
    };

    HostDevice(std::string address, std::shared_ptr<Container> container, File file)
        : address_(std::move(address)), container_(std::move(container)), file_(std::move(file)) {}
    Result<void> look();
    Result<void> add_bar(unsigned number);
    const uint8_t* mapped(unsigned bar, uint64_t offset, unsigned size) const;
    int call(unsigned long request, void* argument) const {
        return container_->system().call(file_.get(), request, argument);
    }

    const std::string address_;
    const std::shared_ptr<Container> container_;
    const File file_;
    uint64_t config_place_ = 0;
    bool can_reset_ = false;
    std::array<Bar, kBars> bars_;
    std::array<unsigned, 3> interrupts_{};
};

}  // namespace arclight::devices::vfio
