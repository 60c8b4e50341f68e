#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/char_backend.h"
#include "devices/event_loop.h"
#include "devices/virtio/transport.h"
#include "mmu/result.h"

namespace arclight::devices::virtio {

/// Console device (virtio 1.2 section 5.3) with several ports: consoles, and others that have a name by which programs in the
/// guest find them. What a port has received waits in its back end until the driver has room; what a slow back end does not
/// take waits in the guest.
class Console final : public Backend {
  public:
    static constexpr unsigned kMaxPorts = 31;  ///< as QEMU
    static constexpr size_t kMaxName = 256;

    struct PortOptions {
        unsigned number = 0;  ///< 0 is a console's
        bool console = false;
        std::string chardev;
        std::string name;  ///< empty: none
    };
    /// Ports as one text, for DeviceRequest: NUMBER:console|port:CHARDEV:NAME, with semicolons between them.
    static std::string ports_text(const std::vector<PortOptions>& ports);
    static Result<std::vector<PortOptions>> parse_ports(std::string_view text);

    /// `backends`: of each port; they outlive the device. Numbers differ, and are below kMaxPorts.
    Console(EventLoop& loop, const std::vector<PortOptions>& ports,
            const std::vector<CharBackend*>& backends);
    ~Console() override;

    // ---- Backend
    std::string_view name() const override { return "virtio-console"; }
    uint32_t device_id() const override { return 3; }
    uint64_t features() const override;
    std::vector<QueueDescription> queues() const override;
    uint8_t read_config(uint64_t offset) override;
    void write_config(uint64_t offset, uint8_t value) override;
    void set_features(uint64_t features) override;
    void activate(Transport& transport) override;
    void reset() override;
    void notified(unsigned queue) override;
    void quiesce() override { loop_.drain(); }
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    class Port;
    struct PortState {
        bool ready = false;       ///< the driver knows it
        bool guest_open = false;  ///< a program of the guest's has opened it
        bool told_open = false;   ///< the driver was told that the host's end is open
        uint64_t sent = 0;        ///< bytes of the next chain that have been sent already
        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.ready, self.guest_open, self.told_open, self.sent);
        }
    };

    bool multiport() const;
    Port* port(unsigned number) const;
    Port* first_console() const;
    void send(Transport& transport, Port& port);
    size_t receive(Port& port, std::span<const uint8_t> bytes);
    void take_control(Transport& transport);
    void handle_control(std::span<const uint8_t> message);
    void tell(unsigned number, uint16_t event, uint16_t value, std::span<const uint8_t> more = {});
    void tell_open(Port& port);
    void tell_size(Port& port);
    void deliver_control(Transport& transport);
    void host_event(Port& port, CharEvent event);

    EventLoop& loop_;
    std::vector<std::unique_ptr<Port>> ports_;
    unsigned max_ports_ = 1;
    std::atomic<Transport*> transport_{nullptr};
    // Under the transport's lock.
    uint64_t features_ = 0;
    std::deque<std::vector<uint8_t>> control_;  ///< for the driver, when it has room
};

}  // namespace arclight::devices::virtio
