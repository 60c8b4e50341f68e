#include "guestos/firmware.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "devices/layout.h"
#include "guestos/acpi/tables.h"
#include "guestos/boot.h"
#include "guestos/exit_status.h"
#include "guestos/file.h"
#include "guestos/smbios.h"

namespace arclight::guestos {

namespace {

using devices::FwCfg;

constexpr uint64_t kMaxFile = uint64_t{1} << 28;

FwCfg::Bytes text_bytes(const std::string& text) { return {text.begin(), text.end()}; }

Result<void> add_user_files(FwCfg& fw_cfg, const RunOptions& options) {
    for (const FwCfgOptions& entry : options.fw_cfg) {
        FwCfg::Bytes bytes = text_bytes(entry.text);
        if (!entry.file.empty()) {
            auto file = read_file("fw_cfg file", entry.file, kMaxFile);
            if (!file) return std::unexpected(file.error());
            bytes = std::move(*file);
        }
        if (auto added = fw_cfg.add_file(entry.name, std::move(bytes)); !added) return added;
    }
    return {};
}

Result<void> add_kernel(FwCfg& fw_cfg, const RunOptions& options, const KernelFile& kernel) {
    fw_cfg.set_u32(FwCfg::kKernelSize, static_cast<uint32_t>(kernel.bytes.size()));
    fw_cfg.set(FwCfg::kKernelData, kernel.bytes);
    auto initrd = read_initrd(options, options.memory);
    if (!initrd) return std::unexpected(initrd.error());
    if (!initrd->empty()) {
        fw_cfg.set_u32(FwCfg::kInitrdSize, static_cast<uint32_t>(initrd->size()));
        fw_cfg.set(FwCfg::kInitrdData, std::move(*initrd));
    }
    if (!options.append.empty()) {
        FwCfg::Bytes line = text_bytes(options.append);
        line.push_back(0);
        fw_cfg.set_u32(FwCfg::kCommandLineSize, static_cast<uint32_t>(line.size()));
        fw_cfg.set(FwCfg::kCommandLineData, std::move(line));
    }
    return {};
}

Result<void> add_acpi(FwCfg& fw_cfg, const RunOptions& options) {
    namespace layout = devices::layout;
    acpi::Board board{.cpus = options.cpus,
                      .topology = options.topology,
                      .gic = options.gic.value_or(kDefaultGic),
                      .its = {},
                      .msi_frame = {},
                      .pci = acpi::PciWindows{.ecam = layout::kPciEcam,
                                              .memory32 = layout::kPciMemory32,
                                              .ports = layout::kPciPorts,
                                              .memory64 = layout::kPciMemory64,
                                              .first_spi = layout::kSpiPci},
                      .exit_status = ExitStatus::kRange};
    if (board.gic == 3)
        board.its = layout::kGicIts.base;
    else
        board.msi_frame = acpi::MsiFrame{
            .base = layout::kGicV2m.base, .first_spi = layout::kSpiV2m, .spis = layout::kSpiV2mCount};
    acpi::Files files = acpi::make_files(board);
    if (auto added = fw_cfg.add_file("etc/acpi/tables", std::move(files.tables)); !added) return added;
    if (auto added = fw_cfg.add_file("etc/acpi/rsdp", std::move(files.rsdp)); !added) return added;
    return fw_cfg.add_file("etc/table-loader", std::move(files.loader));
}

Result<void> add_smbios(FwCfg& fw_cfg, const RunOptions& options) {
    SmbiosMachine machine{.topology = options.topology.value_or(CpuTopology::flat(options.cpus)),
                          .memory = options.memory,
                          .words = {}};
    for (const std::string& text : options.smbios) {
        auto words = parse_smbios(text);
        if (!words) return failure("--smbios {}: {}", text, words.error());
        machine.words.push_back(std::move(*words));
    }
    SmbiosFiles files = make_smbios(machine);
    if (auto added = fw_cfg.add_file("etc/smbios/smbios-anchor", std::move(files.anchor)); !added)
        return added;
    return fw_cfg.add_file("etc/smbios/smbios-tables", std::move(files.tables));
}

}  // namespace

Result<void> fill_fw_cfg(FwCfg& fw_cfg, const RunOptions& options, const KernelFile* kernel,
                         const std::string& boot_order) {
    fw_cfg.set(FwCfg::kUuid, FwCfg::Bytes(16));
    fw_cfg.set_u64(FwCfg::kRamSize, options.memory);
    fw_cfg.set_u16(FwCfg::kNoGraphic, 1);
    fw_cfg.set_u16(FwCfg::kCpus, static_cast<uint16_t>(options.cpus));
    fw_cfg.set_u16(FwCfg::kMaxCpus, static_cast<uint16_t>(options.cpus));
    fw_cfg.set_u16(FwCfg::kBootMenu, 0);
    if (auto added = add_user_files(fw_cfg, options); !added) return added;
    if (!boot_order.empty()) {
        FwCfg::Bytes bytes(boot_order.begin(), boot_order.end());
        bytes.push_back(0);
        if (auto added = fw_cfg.add_file("bootorder", std::move(bytes)); !added) return added;
    }
    if (options.has_firmware()) {
        if (kernel != nullptr)
            if (auto added = add_kernel(fw_cfg, options, *kernel); !added) return added;
        if (options.acpi)
            if (auto added = add_acpi(fw_cfg, options); !added) return added;
        if (auto added = add_smbios(fw_cfg, options); !added) return added;
    }
    fw_cfg.finish();
    return {};
}

}  // namespace arclight::guestos
