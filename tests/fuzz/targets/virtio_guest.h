#pragma once

#include <memory>

#include "devices/virtio/mmio.h"
#include "tests/devices/virtio_driver.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {

/// A guest's driver that does as the input says: well-formed rings mostly, so that requests come through, with whatever
/// descriptors and accesses to registers and memory.
class VirtioGuest {
  public:
    explicit VirtioGuest(std::unique_ptr<devices::virtio::Backend> backend) : driver_(std::move(backend)) {}

    void run(Input& in) {
        // The last 32 bits as the input says, and the modern device, without which nothing goes on.
        driver_.start(devices::virtio::kFeatureVersion1 | in.u32());
        while (!in.empty()) step(in);
        settle();
        check_used_ring();
    }

    devices::test::VirtioDriver& driver() { return driver_; }

  private:
    using Driver = devices::test::VirtioDriver;

    uint64_t address(Input& in) {
        // In the data area mostly; the ends of RAM and anything at all.
        const uint8_t kind = in.u8();
        if (kind < 0xc0) return Driver::kData + kind * 64u;
        if (kind < 0xe0) return devices::layout::kRamBase + Driver::kRamSize - (kind & 31u);
        if (kind < 0xf0) return Driver::kDescriptors + (kind & 15u) * 16;
        return in.u64();
    }

    void step(Input& in) {
        const uint8_t what = in.u8();
        switch (what & 15) {
            case 0:
            case 1:
            case 2:
            case 3:
            case 4: {  // a descriptor
                const unsigned index = what >> 4 & 7;
                const uint64_t at = address(in);
                const uint32_t length = (what & 0x80) != 0 ? in.u32() : in.u16();
                const uint16_t flags = in.u8() & 7;
                driver_.describe(Driver::kDescriptors, index, at, length, flags, in.u8() & 15);
                break;
            }
            case 5:
            case 6: driver_.offer(what >> 4); break;
            case 7: driver_.offer(what >> 4, false); break;
            case 8:
            case 9: {  // bytes of a request or of an indirect table
                const uint64_t at = Driver::kData + in.u8() * 64u;
                const auto bytes = in.bytes(what >> 4 == 0 ? 16 : (what >> 4) * 4u);
                if (!bytes.empty())
                    std::memcpy(driver_.memory.host(at, bytes.size()), bytes.data(), bytes.size());
                break;
            }
            case 10: {  // a word of the rings
                const uint64_t at = Driver::kDescriptors + in.u16() % 0x2ff0;
                driver_.at<uint16_t>(at & ~1ull) = in.u16();
                break;
            }
            case 11: {
                const uint64_t offset = in.u8() * 4u;
                driver_.device.write(offset, in.u32(), 1u << (what >> 4 & 3));
                break;
            }
            case 12: driver_.device.read(in.u16() % 0x200, 1u << (what >> 4 & 3)); break;
            case 13: settle(); break;
            case 14: {
                driver_.negotiate(devices::virtio::kFeatureVersion1 | in.u32());
                driver_.place_queue(address(in) & ~15ull, address(in) & ~1ull, address(in) & ~3ull);
                driver_.set(0x70, 0xf);
                break;
            }
            default: {
                driver_.start(devices::virtio::kFeatureVersion1 | in.u32());
                break;
            }
        }
    }

    /// Nothing is in flight any more.
    void settle() {
        driver_.device.quiesce();
        driver_.device.resume();
    }

    void check_used_ring() {
        driver_.device.reset();
        require(!driver_.wire(), "a device that was reset has no interrupt");
        require(driver_.get(0x70) == 0, "a device that was reset has status 0");
        require(driver_.get(0) == 0x74726976, "the device is still there");
    }

    Driver driver_;
};

}  // namespace arclight::fuzz
