#include "guestos/machine_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "guestos/firmware.h"
#include "guestos/lightv/control.h"
#include "guestos/loader.h"
#include "guestos/prepare/profile.h"
#include "guestos/prepare/section.h"
#include "guestos/snapshot/snapshot_store.h"
#include "guestos/snapshot/snapshots.h"

namespace arclight::guestos {

Result<void> write_output(const std::string& path, std::span<const uint8_t> bytes) {
    std::FILE* f = std::fopen(path.c_str(), "wb");
    if (f == nullptr) return failure("cannot write '{}': {}", path, strerror(errno));
    const bool written = std::fwrite(bytes.data(), 1, bytes.size(), f) == bytes.size();
    const bool closed = std::fclose(f) == 0;
    if (!written || !closed) return failure("cannot write '{}': {}", path, strerror(errno));
    return {};
}

namespace {

Ram ram_of(Machine& machine) {
    return {devices::layout::kRamBase, {machine.ram().host(), machine.ram().size()}};
}

}  // namespace

// ---- Before it runs

Result<void> MachineRun::make() {
    if (auto chosen = choose_options(); !chosen) return chosen;
    if (!options_.profile_host.empty() && !jit::have_disassembler())
        return failure("--profile-host: this build of Arclight has no disassembler");
    options_.start_paused = options_.start_paused || environment_.target().next_begins_paused();
    environment_.chardevs().begin_machine();
    if (auto claimed = claim_serial_ports(); !claimed) return claimed;
    if (!options_.profile_host.empty()) {
        profile_.emplace(*lines_[0], [this]() -> ProfileMarks::Sample {
            const MachineStats stats = machine_->stats();
            return {stats.engine.host_profile(), stats.engine.tier2_stats(), stats.counters()};
        });
        lines_[0] = &*profile_;
    }
    input_.emplace(environment_.loop(), *lines_[0], options_.session);
    status_.emplace([this](ConsoleInput form) { input_->set_input(form); });
    auto created =
        Machine::create(options_, environment_.loop(), {*input_, lines_[1], &environment_.chardevs()},
                        &*status_, environment_.flash());
    if (!created) return std::unexpected(created.error());
    machine_ = std::move(*created);
    if (auto filled =
            fill_fw_cfg(machine_->fw_cfg(), options_, kernel_ ? &*kernel_ : nullptr, machine_->boot_order());
        !filled)
        return filled;
    if (!snapshot_) return load();
    return given_.profile_sites.empty() ? Result<void>()
                                        : failure("--profile-sites needs a kernel that boots");
}

/// From the snapshot or the kernel: what the user has left open is as it needs it.
Result<void> MachineRun::choose_options() {
    if (!given_.restore.empty()) {
        if (auto disks = SnapshotStore::restore_disks(given_); !disks) return disks;
        auto file = SnapshotFile::open(given_.restore);
        if (!file) return std::unexpected(file.error());
        auto completed = options_to_restore(given_, *file);
        if (!completed) return std::unexpected(completed.error());
        snapshot_ = std::move(*file);
        options_ = std::move(*completed);
        return {};
    }
    if (given_.kernel.empty() && !given_.needs_no_kernel())
        return failure("the guest has reset, and there is no --kernel to boot");
    if (!given_.kernel.empty()) {
        auto read = read_kernel(given_.kernel, given_.memory);
        if (!read) return std::unexpected(read.error());
        kernel_ = std::move(*read);
        if (auto taken = take_sites(); !taken) return taken;
    }
    options_ = complete_options(given_, kernel_ ? kernel_->kind : KernelKind::Linux);
    return {};
}

Result<void> MachineRun::take_sites() {
    if (kernel_->kind != KernelKind::Linux) return {};
    auto sites = prepare::take_section(kernel_->bytes);
    if (!sites) return failure("kernel '{}': {}", kernel_->name, sites.error());
    sites_ = std::move(*sites);
    return {};
}

Result<void> MachineRun::claim_serial_ports() {
    for (size_t i = 0; i < options_.serials.size(); ++i) {
        if (i >= lines_.size()) return failure("more than {} serial ports", lines_.size());
        lines_[i] = &nowhere_[i];
        if (options_.serials[i].empty()) continue;
        auto line = environment_.chardevs().claim(options_.serials[i]);
        if (!line) return failure("serial port: {}", line.error());
        lines_[i] = *line;
    }
    return {};
}

Result<void> MachineRun::load() {
    const Ram ram = ram_of(*machine_);
    // With neither, the device tree is where firmware has it, and code comes by load_more().
    auto loaded = options_.has_firmware() || !kernel_ ? load_firmware_guest(options_, ram, machine_->bus())
                                                      : load_guest(options_, *kernel_, ram, machine_->bus());
    if (!loaded) return std::unexpected(loaded.error());
    boot_ = std::move(*loaded);
    const bool placed = kernel_ && kernel_->kind == KernelKind::Linux && boot_->kernel.end != 0;
    if (!given_.profile_sites.empty() && !placed)
        return failure("--profile-sites is for an arm64 Image that no firmware loads");
    if (placed && !given_.profile_sites.empty())
        machine_->stats().engine.record_sites(boot_->kernel.low, boot_->kernel.low + kernel_->bytes.size());
    if (placed && sites_) machine_->bind_sites(*sites_, kernel_->bytes, boot_->kernel.low);
    // The guest has it. What the translator allocates takes the file's pages, which have been touched already.
    if (kernel_ && given_.profile_sites.empty()) Bytes().swap(kernel_->bytes);
    const auto start = load_more(options_.loads, ram);
    if (!start) return std::unexpected(start.error());
    if (*start) boot_->entry = **start;
    return {};
}

std::optional<std::span<const uint8_t>> MachineRun::device_tree() const {
    if (!boot_) return std::nullopt;
    return boot_->dtb;
}

// ---- While it runs

Result<void> MachineRun::run() {
    if (auto executed = execute(); !executed) return executed;
    finish();
    return write_statistics();
}

Result<void> MachineRun::execute() {
    auto lightv = LightvControl::create(*machine_, options_, [this](int file, bool stop) {
        auto saved = save_snapshot(*machine_, options_, file,
                                   stop ? Machine::AfterSave::Stop : Machine::AfterSave::GoOn);
        if (saved && stop) saved_for_later_ = true;
        return saved;
    });
    if (!lightv) return std::unexpected(lightv.error());
    environment_.current().set(machine_.get());
    if (Semihosting* semihosting = machine_->semihosting())
        semihosting->console().input_ended = [this] { return input_->input_ended(); };
    environment_.chardevs().ready();
    environment_.loop().start();
    if (options_.on_start) options_.on_start();
    if (auto restored = restore(); !restored) {
        environment_.loop().stop();
        environment_.current().set(nullptr);
        return restored;
    }
    // Whoever asks for its state, or lets it go on, finds it paused already.
    if (options_.start_paused) machine_->begin_paused();
    environment_.target().attach(*machine_);
    gdb::Server* const debugger = environment_.debugger();
    if (debugger != nullptr) debugger->begin(*machine_->debugger());
    end_ = boot_ ? machine_->run(*boot_) : machine_->run();
    followed_ = end_ == Machine::End::Load || (end_ == Machine::End::Reset && !options_.no_reboot);
    if (debugger != nullptr) debugger->end(followed_);
    environment_.target().detach(end_);
    if (*lightv) lightv_statistics_ = (*lightv)->stats();
    return {};
}

Result<void> MachineRun::restore() {
    if (!snapshot_) return {};
    if (auto restored = restore_snapshot(*machine_, *snapshot_); !restored) return restored;
    snapshot_.reset();
    if (std::ranges::count(options_.networks, NetOptions::Kind::User, &NetOptions::kind) != 0)
        fmt::print(stderr,
                   "arclight: the network connections that the guest had when it was saved have ended\n");
    return {};
}

// ---- After that

void MachineRun::finish() {
    if (!followed_) environment_.finish_monitors();
    Chardevs& chardevs = environment_.chardevs();
    if (environment_.signal_number() != 0 || environment_.hangup() ||
        (end_ == Machine::End::Quit && !saved_for_later_))
        chardevs.abandon_output();
    chardevs.flush();
    output_error_ = chardevs.stdout_error();
    environment_.loop().stop();
    environment_.current().set(nullptr);
    if (!followed_) chardevs.leave_terminal();
}

Result<void> MachineRun::write_statistics() {
    if (options_.stats) machine_->stats().print(stderr);
    const auto write = [](const std::string& file, const std::string& json) -> Result<void> {
        const std::string text = json + "\n";
        return write_output(file, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    };
    if (profile_)
        if (auto written = write(options_.profile_host, profile_->json()); !written) return written;
    if (auto written = write_site_profile(); !written) return written;
    if (options_.stats_file.empty()) return {};
    return write(options_.stats_file, machine_->stats().json(lightv_statistics_));
}

Result<void> MachineRun::write_site_profile() {
    if (options_.profile_sites.empty()) return {};
    const jit::SiteRecord record = machine_->stats().engine.site_record();
    prepare::Profile profile;
    for (const auto& [pa, count] : record.devices)
        profile.devices.emplace(static_cast<uint32_t>(pa - record.begin), count);
    for (const auto& [pa, block] : record.blocks)
        profile.blocks.emplace(static_cast<uint32_t>(pa - record.begin),
                               prepare::Profile::Block{block.bytes, block.translations});
    const std::string text = prepare::profile_text(profile, kernel_->bytes);
    return write_output(options_.profile_sites, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

Result<std::optional<int>> MachineRun::exit_status() const {
    if (end_ == Machine::End::Failure) return std::unexpected(machine_->failure_text());
    if (const int number = environment_.signal_number(); number != 0) {
        if (options_.signal_is_failure) return 128 + number;
        fmt::print(stderr, "arclight: terminating on signal {}\n", number);
        return 0;
    }
    if (environment_.hangup()) return failure("the console's terminal is gone");
    if (output_error_ != 0) return failure("cannot write the guest's output: {}", strerror(output_error_));
    if (const Semihosting* semihosting = machine_->semihosting(); semihosting && semihosting->status())
        return *semihosting->status();
    if (followed_) return std::nullopt;
    if (saved_for_later_ || !options_.session) return 0;
    if (const auto code = status_->status()) return *code;
    if (!options_.command.empty()) return failure("the guest stopped before the command ended");
    return 0;
}

}  // namespace arclight::guestos
