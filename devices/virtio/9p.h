#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devices/machine_host.h"
#include "devices/virtio/9p_server.h"
#include "devices/virtio/transport.h"
#include "mmu/result.h"

namespace arclight::devices::virtio {

/// A directory of the host's that the guest can mount: 9P2000.L over virtio, as QEMU's virtio-9p-device (virtio device 9 has no
/// chapter in the specification). Requests are served on the transport's worker, one after the other.
class P9 final : public Backend {
  public:
    static constexpr size_t kMaxTag = 255;

    struct Options {
        std::string tag;  ///< that the guest mounts it by
        p9::Server::Options server;
        MachineHost* host = nullptr;  ///< null: nobody reads messages
    };
    /// The error is one line for the user.
    static Result<std::unique_ptr<P9>> open(const std::string& path, Options options);

    P9(std::string tag, p9::Folder folder, p9::Server::Options options)
        : tag_(std::move(tag)), server_(std::move(folder), std::move(options)) {}

    std::string_view name() const override { return "virtio-9p"; }
    uint32_t device_id() const override { return 9; }
    uint64_t features() const override;
    std::vector<QueueDescription> queues() const override { return {{128, Service::Worker}}; }
    ThreadRole worker_role() const override { return ThreadRole::Share; }
    uint8_t read_config(uint64_t offset) override;
    /// All that the guest had open is closed.
    void reset() override { server_.reset(); }
    Served process(unsigned queue, Chain& chain) override;

    /// What the guest has open, by name.
    void save(StateWriter& out) const override { server_.save(out); }
    StateResult load(StateReader& in) override { return server_.load(in); }

  private:
    const std::string tag_;
    p9::Server server_;
    std::vector<uint8_t> message_, reply_;
};

}  // namespace arclight::devices::virtio
