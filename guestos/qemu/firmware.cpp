// -bios, flash, -fw_cfg, -smbios: firmware, and what it and the guest find beside the device tree.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "guestos/cli/parse.h"
#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"
#include "guestos/smbios.h"

namespace arclight::guestos::qemu {

namespace {

constexpr size_t kBanks = 2;

/// A name without a directory is also looked for where QEMU's and Debian's packages have firmware.
std::string find_firmware(const Translation& t, const std::string& name) {
    if (name.contains('/') || access(name.c_str(), R_OK) == 0) return name;
    std::vector<std::string> directories;
    for (const Given* given : t.in.all("L")) directories.push_back(given->value());
    directories.insert(directories.end(),
                       {"/usr/share/qemu", "/usr/share/qemu-efi-aarch64", "/usr/share/AAVMF"});
    for (const std::string& directory : directories)
        if (const std::string path = directory + "/" + name; access(path.c_str(), R_OK) == 0) return path;
    return name;
}

Result<void> take_flash(Translation& t) {
    for (const Drive& drive : t.drives) {
        if (drive.interface != "pflash") continue;
        if (drive.unit >= kBanks) return failure("{}: the board has {} flash banks", drive.origin, kBanks);
        if (drive.options.format != "raw" && drive.options.format != "auto")
            return failure("{}: the image of a flash bank is raw, not {}", drive.origin,
                           drive.options.format);
        t.out.flash.resize(std::max<size_t>(t.out.flash.size(), drive.unit + 1));
        t.out.flash[drive.unit] = {.file = drive.options.file,
                                   .readonly = drive.options.readonly || drive.options.snapshot,
                                   .locking = drive.options.locking};
        if (drive.options.snapshot && !drive.options.readonly)
            if (const auto done =
                    t.notes.missed(fmt::format("{}: flash with snapshot=on cannot be written", drive.origin));
                !done)
                return done;
    }
    return {};
}

/// -machine pflash0=NODE,pflash1=NODE: banks by -blockdev.
Result<void> take_flash_nodes(Translation& t) {
    const Given machine = t.in.merged("machine");
    for (size_t bank = 0; bank < kBanks; ++bank) {
        const std::string key = fmt::format("pflash{}", bank), id = machine.value(key);
        if (id.empty()) continue;
        const auto node = std::ranges::find(t.nodes, id, &Drive::id);
        if (node == t.nodes.end())
            return failure("Property 'virt-7.2-machine.{}' can't find value '{}'", key, id);
        if (bank < t.out.flash.size() && !t.out.flash[bank].file.empty())
            return failure("flash bank {} has -machine {} and a -drive", bank, key);
        if (node->options.format != "raw")
            return failure("{}: the image of a flash bank is raw, not {}", node->origin,
                           node->options.format);
        node->used = true;
        t.out.flash.resize(std::max(t.out.flash.size(), bank + 1));
        t.out.flash[bank] = {
            .file = node->options.file, .readonly = node->options.readonly, .locking = node->options.locking};
    }
    return {};
}

Result<void> take_files(Translation& t) {
    for (const Given* given : t.in.all("fw_cfg")) {
        std::string text;
        for (const auto& [key, value] : given->values)
            text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, doubled_commas(value));
        auto entry = cli::parse_fw_cfg(text);
        if (!entry) return failure("{}: {}", given->origin, entry.error());
        if (!entry->name.starts_with("opt/"))
            t.notes.warn(
                fmt::format("externally provided fw_cfg item names should be prefixed with \"opt/\""));
        t.out.fw_cfg.push_back(std::move(*entry));
    }
    for (const Given* given : t.in.all("smbios")) {
        if (given->has("file"))
            return failure("{}: structures are given by words, type=N,...", given->origin);
        std::string text;
        for (const auto& [key, value] : given->values)
            text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, doubled_commas(value));
        if (const auto words = parse_smbios(text); !words)
            return failure("{}: {}", given->origin, words.error());
        t.out.smbios.push_back(text);
    }
    if (const auto uuid = t.in.word("uuid")) t.out.smbios.push_back("type=1,uuid=" + *uuid);
    return {};
}

}  // namespace

Result<void> take_firmware(Translation& t) {
    const std::string bios = t.in.merged("machine").value("firmware");
    if (!bios.empty()) t.out.bios = find_firmware(t, bios);
    if (const auto taken = take_flash(t); !taken) return taken;
    if (const auto taken = take_flash_nodes(t); !taken) return taken;
    if (!bios.empty() && !t.out.flash.empty() && !t.out.flash.front().file.empty())
        return failure(
            "The contents of the first flash device may be specified with -bios or with -drive if=pflash, "
            "not with both");
    if (!bios.empty() && t.out.flash.empty() == false && t.out.flash.size() == 1) t.out.flash.clear();
    if (const auto taken = take_files(t); !taken) return taken;
    return {};
}

}  // namespace arclight::guestos::qemu
