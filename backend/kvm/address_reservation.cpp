#include "backend/kvm/address_reservation.h"

#include <sys/mman.h>

#include <algorithm>
#include <mutex>

namespace arclight::backend::kvm {

namespace {
constexpr uint64_t kEntryBytes = uint64_t{1} << 39;
void* address_of(unsigned entry) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of its own choice
    return reinterpret_cast<void*>(entry * kEntryBytes);
}
}  // namespace

std::shared_ptr<const AddressReservation> AddressReservation::shared() {
    static std::mutex lock;
    static std::weak_ptr<const AddressReservation> current;
    const std::lock_guard guard(lock);
    std::shared_ptr<const AddressReservation> found = current.lock();
    if (found == nullptr)
        current = found = std::shared_ptr<const AddressReservation>(new AddressReservation());
    return found;
}

/// Neighbours become one mapping of the host's.
AddressReservation::AddressReservation() {
    for (unsigned entry = 1; entry < reserved_.size(); ++entry)
        reserved_[entry] =
            mmap(address_of(entry), kEntryBytes, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED;
}

AddressReservation::~AddressReservation() {
    for (unsigned entry = 1; entry < reserved_.size(); ++entry)
        if (reserved_[entry]) munmap(address_of(entry), kEntryBytes);
}

unsigned AddressReservation::count() const {
    return static_cast<unsigned>(std::ranges::count(reserved_, true));
}

}  // namespace arclight::backend::kvm
