// The guest's side of an NVMe controller: its registers, the admin queue and one pair of queues for reads and writes.
#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "devices/nvme/controller.h"
#include "tests/devices/pci_board.h"

namespace arclight::devices::test {

class NvmeDriver : public PciBoard {
  public:
    static constexpr unsigned kDevfn = 1 << 3;
    static constexpr uint64_t kRegisters = layout::kPciMemory64.base;
    static constexpr uint64_t kTable = layout::kPciMemory32.base;
    static constexpr uint64_t kAdminSq = layout::kRamBase + 0x1000, kAdminCq = layout::kRamBase + 0x2000;
    static constexpr uint64_t kIoSq = layout::kRamBase + 0x3000, kIoCq = layout::kRamBase + 0x4000;
    static constexpr uint64_t kList = layout::kRamBase + 0x5000, kData = layout::kRamBase + 0x10000;
    static constexpr uint32_t kEntries = 8;

    explicit NvmeDriver(virtio::Disk disk)
        : device(std::make_unique<nvme::Controller>(memory, std::move(disk))) {
        bridge.plug(*device, kDevfn);
        set_config(0, kDevfn, 0x10, kRegisters & 0xffff'ffff);
        set_config(0, kDevfn, 0x14, kRegisters >> 32);
        set_config(0, kDevfn, 0x20, kTable);
        set_config(0, kDevfn, pci::kRegCommand, 7, 2);
    }

    uint32_t get(uint64_t offset) { return static_cast<uint32_t>(read(kRegisters + offset)); }
    void set(uint64_t offset, uint64_t value, unsigned size = 4) { write(kRegisters + offset, value, size); }

    void enable() {
        std::memset(ram.data(), 0, 0x10000);
        queues[0] = queues[1] = {};
        set(0x24, (kEntries - 1) << 16 | (kEntries - 1));
        set(0x28, kAdminSq, 8);
        set(0x30, kAdminCq, 8);
        set(0x14, 0x0046'0001);
    }
    /// And the pair of queues. False: they were refused.
    bool start() {
        enable();
        nvme::Command create{.opcode = nvme::kCreateCq, .prp1 = kIoCq};
        create.cdw10 = (kEntries - 1) << 16 | 1, create.cdw11 = 3;
        const bool completions = admin(create) == 0;
        create.opcode = nvme::kCreateSq, create.prp1 = kIoSq, create.cdw11 = 1 << 16 | 1;
        return admin(create) == 0 && completions;
    }

    template <typename T>
    T& at(uint64_t pa) {
        return *reinterpret_cast<T*>(memory.host(pa, sizeof(T)));
    }
    /// Without the doorbell.
    void put(unsigned queue, nvme::Command command) {
        command.id = next_id++;
        at<nvme::Command>((queue == 0 ? kAdminSq : kIoSq) + queues[queue].tail * sizeof command) = command;
        queues[queue].tail = (queues[queue].tail + 1) % kEntries;
    }
    void ring(unsigned queue) { set(0x1000 + queue * 8, queues[queue].tail); }
    /// The next completion; nothing: none comes.
    std::optional<nvme::Completion> take(unsigned queue,
                                         std::chrono::milliseconds limit = std::chrono::seconds(10)) {
        Side& side = queues[queue];
        const uint64_t entry = (queue == 0 ? kAdminCq : kIoCq) + side.head * sizeof(nvme::Completion);
        const bool came = eventually(
            [&] { return (std::atomic_ref(at<uint16_t>(entry + 14)).load() & 1) == (side.phase ? 1 : 0); },
            limit);
        if (!came) return std::nullopt;
        const auto completion = at<nvme::Completion>(entry);
        side.head = (side.head + 1) % kEntries;
        if (side.head == 0) side.phase = !side.phase;
        set(0x1004 + queue * 8, side.head);
        return completion;
    }
    /// The status, without the bit that forbids another try; 0xffff: there is none.
    uint16_t request(unsigned queue, const nvme::Command& command) {
        put(queue, command);
        ring(queue);
        const auto completion = take(queue);
        result = completion ? completion->result : 0;
        return completion ? completion->status >> 1 & 0x3fff : 0xffff;
    }
    uint16_t admin(const nvme::Command& command) { return request(0, command); }
    /// A read or write of `blocks` at the data area, which is contiguous.
    uint16_t transfer(uint8_t opcode, uint64_t block, uint32_t blocks, uint64_t offset = 0) {
        nvme::Command command{.opcode = opcode, .nsid = 1, .prp1 = kData + offset};
        command.cdw10 = static_cast<uint32_t>(block), command.cdw11 = static_cast<uint32_t>(block >> 32);
        command.cdw12 = blocks - 1;
        describe(command, uint64_t{blocks} * 512);
        return request(1, command);
    }
    /// prp2 for what is behind the first page: a page, or a list.
    void describe(nvme::Command& command, uint64_t bytes) {
        const uint64_t second = (command.prp1 & ~0xfffull) + 0x1000, first = second - command.prp1;
        if (bytes <= first) return;
        if (bytes - first <= 0x1000) {
            command.prp2 = second;
            return;
        }
        command.prp2 = kList;
        for (uint64_t i = 0; i * 0x1000 < bytes - first; i++)
            at<uint64_t>(kList + i * 8) = second + i * 0x1000;
    }

    struct Side {
        uint32_t tail = 0, head = 0;
        bool phase = true;
    };
    Side queues[2];
    uint16_t next_id = 100;
    uint32_t result = 0;
    std::unique_ptr<nvme::Controller> device;
};

}  // namespace arclight::devices::test
