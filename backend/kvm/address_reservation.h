// Host addresses that fastmem maps guest memory at, kept free of the process's own memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace arclight::backend::kvm {

/// Root entries, 512 GiB of addresses each, in which nothing is mapped and nothing will be: a mapping without any right
/// holds them, which takes no memory. All machines of the process share one, since each has page tables of its own.
class AddressReservation {
  public:
    static constexpr unsigned kEntries =
        128;  ///< from entry 1 on; the kernel gives out addresses from the other end

    /// The one that another machine has, or a new one.
    static std::shared_ptr<const AddressReservation> shared();
    ~AddressReservation();
    AddressReservation(const AddressReservation&) = delete;
    AddressReservation& operator=(const AddressReservation&) = delete;

    bool has(unsigned entry) const { return entry < reserved_.size() && reserved_[entry]; }
    unsigned count() const;

  private:
    AddressReservation();
    std::array<bool, kEntries + 1> reserved_{};
};

}  // namespace arclight::backend::kvm
