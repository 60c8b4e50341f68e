// The machine as mmu/lightv needs it: CPUs that forget pages, and devices with several instances.
#pragma once

#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "guestos/lightv/machine_access.h"
#include "mmu/lightv/controller.h"

namespace arclight::guestos {

class Interception final : public mmu::lightv::Machine {
  public:
    explicit Interception(MachineAccess& machine);
    ~Interception() override;

    void forget(std::span<const uint64_t> pages, bool content) override;
    void forget_code(std::span<const uint64_t> pages, bool content, bool fetches) override;
    bool has_device(const std::string& device) override;
    Result<unsigned> add_instance(const std::string& device, const std::string& backend) override;
    Result<void> select_instance(const std::string& device, unsigned instance) override;
    void refuse_device(const std::string& device, bool refuse) override;

  private:
    class Uarts;
    devices::virtio::SharedDisk* find_disk(const std::string& device) const;
    MachineAccess& machine_;
    std::unique_ptr<Uarts> uarts_;
};

}  // namespace arclight::guestos
