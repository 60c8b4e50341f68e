#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "devices/nvme/protocol.h"
#include "devices/pci/function.h"
#include "devices/virtio/disk.h"
#include "mmu/guest_memory.h"

namespace arclight::devices::nvme {

/// NVM Express controller (base specification 1.4) with one namespace over a disk image; its identity is that of QEMU's `nvme`. Commands are
/// carried out on a thread of its own, those of one queue several at a time. Data are described by PRPs; SGLs are not announced.
class Controller final : public pci::Function {
  public:
    static constexpr unsigned kMaxSerial = 20;
    static constexpr unsigned kMaxIoQueues = 64;

    /// `memory` outlives the controller.
    Controller(const mmu::GuestMemory& memory, virtio::Disk disk);
    ~Controller() override;

    void quiesce() override;
    void resume() override;

  private:
    using Lock = std::unique_lock<std::mutex>;

    static constexpr unsigned kVectors = kMaxIoQueues + 1;
    static constexpr uint32_t kMaxEntries = 2048;
    static constexpr unsigned kMaxTransferShift = 7;  ///< pages: 512 KiB
    static constexpr unsigned kBatch = 32;
    static constexpr unsigned kMaxEvents = 4;  ///< outstanding asynchronous event requests

    struct SubmissionQueue {
        uint64_t base = 0;
        uint32_t size = 0;
        uint32_t head = 0, tail = 0;
        uint16_t completions = 0;  ///< the number of its completion queue

        uint32_t waiting() const { return (tail + size - head) % size; }
        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.base, self.size, self.head, self.tail, self.completions);
        }
    };
    struct CompletionQueue {
        uint64_t base = 0;
        uint32_t size = 0;
        uint32_t head = 0, tail = 0;
        uint16_t vector = 0;
        bool phase = true;
        bool interrupts = false;

        uint32_t room() const { return size - 1 - (tail + size - head) % size; }
        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.base, self.size, self.head, self.tail, self.vector, self.phase, self.interrupts);
        }
    };
    struct Registers {
        uint32_t mask = 0;  ///< INTMS, INTMC
        uint32_t configuration = 0;
        uint32_t status = 0;
        uint32_t admin_sizes = 0;
        uint64_t admin_sq = 0, admin_cq = 0;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.mask, self.configuration, self.status, self.admin_sizes, self.admin_sq,
                    self.admin_cq);
        }
    };
    struct Answer {
        uint16_t status;
        uint32_t result = 0;
    };

    // ---- Function
    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned size) override;
    void reset_device_state() override;
    void control_changed() override;
    void save_device(StateWriter& out) const override;
    StateResult load_device(StateReader& in) override;

    // ---- Registers and queues (controller.cpp). Lock held; what takes the lock object may release it meanwhile.
    uint32_t read_word(uint64_t offset) const;
    void write_word(uint64_t offset, uint32_t value, uint32_t mask, Lock& held);
    void configure(uint32_t value, Lock& held);
    void enable();
    void disable(Lock& held);
    void ring(uint64_t doorbell, uint32_t value);
    void update_interrupt();
    void interrupt(const CompletionQueue& queue);
    void event(uint8_t information);
    void deliver_events();
    void work();
    bool runnable() const;
    bool serve(uint16_t number, Lock& held);
    bool fetch(SubmissionQueue& queue, uint32_t count);
    void complete(uint16_t number, const Command& command, const Answer& answer);
    bool queue_fits(uint64_t base, uint64_t entries, uint64_t entry_size) const;

    // ---- Admin commands (admin.cpp). Lock held.
    Answer administer(const Command& command);
    Answer create_sq(const Command& command);
    Answer create_cq(const Command& command);
    Answer delete_queue(const Command& command, bool completions);
    Answer identify(const Command& command);
    std::vector<uint8_t> identify_controller() const;
    std::vector<uint8_t> identify_namespace() const;
    Answer log_page(const Command& command);
    Answer get_feature(const Command& command) const;
    Answer set_feature(const Command& command);
    /// To the guest, by the command's PRPs.
    uint16_t send(const Command& command, std::span<const uint8_t> bytes);

    // ---- Data and the NVM command set (io.cpp). The worker, lock not held.
    void carry_out(std::span<const Command> commands, std::span<Answer> answers);
    Answer carry_out_alone(const Command& command);
    /// Host views of the `bytes` that PRPs describe; the status if they do not.
    uint16_t map(const Command& command, uint64_t bytes, bool write,
                 std::vector<std::span<uint8_t>>& buffers) const;
    uint16_t status_of(virtio::Disk::Operation operation, const virtio::DiskResult& result);
    uint16_t flush();
    std::optional<uint16_t> check_range(uint64_t block, uint64_t count) const;
    uint64_t blocks() const { return disk_.image().size() / virtio::DiskImage::kSectorSize; }

    const mmu::GuestMemory& memory_;
    virtio::Disk disk_;  // the worker's, but for what is constant

    mutable std::mutex lock_;
    Registers registers_;
    std::map<uint16_t, SubmissionQueue> sqs_;
    std::map<uint16_t, CompletionQueue> cqs_;
    std::array<uint32_t, kFeatures> features_{};
    bool write_back_ = true;
    std::vector<uint16_t> event_requests_;  // identifiers of commands
    std::vector<uint8_t> events_;           // that wait for a request
    uint8_t events_masked_ = 0;             // types that have been told, until their log page is read

    std::vector<Command> commands_;  // of serve()
    std::vector<Answer> answers_;
    std::vector<virtio::DiskTransfer> transfers_;  // of carry_out()
    std::vector<std::vector<std::span<uint8_t>>> buffers_;
    std::vector<size_t> owners_;

    std::condition_variable wake_, idle_;
    bool pending_ = false;  // for the worker
    bool shutting_down_ = false;
    bool busy_ = false;
    bool quit_ = false;
    bool resetting_ = false;
    bool quiesced_ = false;
    bool postponed_ = false;  // until resume()
    std::thread worker_;
};

}  // namespace arclight::devices::nvme
