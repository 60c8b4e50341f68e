// -machine: the virt board and its properties, those that -kernel, -append and others stand for among them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"
#include "guestos/qemu/words.h"

namespace arclight::guestos::qemu {

namespace {

/// virt-N.M as a number; nothing: `name` is not of that form.
std::optional<unsigned> board_version(std::string_view name) {
    if (!name.starts_with("virt-")) return {};
    name.remove_prefix(5);
    unsigned major = 0, minor = 0;
    const char* const end = name.data() + name.size();
    const auto [point, wrong] = std::from_chars(name.data(), end, major);
    if (wrong != std::errc() || point == end || *point != '.') return {};
    const auto [last, wrong_too] = std::from_chars(point + 1, end, minor);
    if (wrong_too != std::errc() || last != end || minor > 99) return {};
    return major * 100 + minor;
}

constexpr unsigned kOldestBoard = 206, kNewestBoard = 702;

Result<void> take_board(Translation& t, const Given& machine) {
    const std::string board = machine.value("type");
    // -kernel and others are properties of the machine, too; it was named by this one.
    std::string origin = machine.origin;
    for (const Given* one : t.in.all("machine"))
        if (one->has("type")) origin = one->origin;
    if (board.empty()) return failure("No machine specified, and there is no default; it is -M virt here");
    if (board == "virt") return {};
    const auto version = board_version(board);
    if (!version || *version < kOldestBoard) {
        const bool other = is_other_board(board);
        return failure("{}: {} (known: virt, virt-2.6 to virt-7.2)", origin,
                       other ? fmt::format("the board '{}' of QEMU is not there", board)
                             : fmt::format("unsupported machine type '{}'{}", board, hint(board, {"virt"})));
    }
    if (*version > kNewestBoard)
        return t.notes.missed(fmt::format("-machine {}: newer than QEMU 7.2, taken as virt-7.2", board));
    return {};
}

Result<void> take_gic(Translation& t, Keys& keys) {
    const std::string version = keys.choice("gic-version", "2", {"2", "3", "4", "host", "max"});
    t.out.gic = version == "2" ? 2 : 3;
    t.gic_given = keys.has("gic-version");
    // GICv4 adds direct injection into guests of the guest.
    if (version == "4") return t.notes.missed("-machine gic-version=4: the interrupt controller is a GICv3");
    return {};
}

Result<void> take_properties(Translation& t, Keys& keys) {
    const auto missed = [&](bool asked, std::string_view text) -> Result<void> {
        return asked ? t.notes.missed(fmt::format("-machine {}", text)) : Result<void>();
    };
    if (const auto done = take_gic(t, keys); !done) return done;
    t.el2 = keys.on("virtualization", false);
    t.mte = keys.on("mte", false);
    const bool randomness = keys.on("dtb-randomness", keys.on("dtb-kaslr-seed", true));
    t.out.kaslr_seed = t.out.rng_seed = randomness;
    for (const auto& done :
         {missed(t.el2, "virtualization=on: the CPU has no EL2"),
          missed(keys.on("secure", false), "secure=on: the CPU has no EL3 and no secure memory"),
          missed(keys.choice("iommu", "none", {"none", "smmuv3"}) != "none",
                 "iommu=smmuv3: there is no SMMU"),
          missed(keys.on("ras", false), "ras=on: there are no error records"),
          missed(keys.on("nvdimm", false), "nvdimm=on: there is no persistent memory"),
          missed(keys.on("hmat", false), "hmat=on: there is no HMAT"),
          missed(keys.has("dt-compatible") && keys.text("dt-compatible") != "linux,dummy-virt",
                 "dt-compatible: the device tree says linux,dummy-virt"),
          missed(keys.on("default-bus-bypass-iommu", false),
                 "default-bus-bypass-iommu=on: there is no IOMMU")})
        if (!done) return done;
    if (keys.has("confidential-guest-support") || keys.has("memory-encryption"))
        keys.fail("the guest's memory cannot be encrypted");
    keys.ignore({"confidential-guest-support", "memory-encryption"});
    t.out.kernel = keys.text("kernel");
    t.out.initrd = keys.text("initrd");
    t.out.append = keys.text("append");
    t.out.dtb = keys.text("dtb");
    t.out.dump_dtb = keys.text("dumpdtb");
    // These change nothing that a guest can see, or nothing as long as what they are about is not there.
    for (const std::string_view key :
         {"highmem", "its", "graphics", "usb", "mem-merge", "dump-guest-core", "suppress-vmdesc", "vmport",
          "aes-key-wrap", "dea-key-wrap", "igd-passthru", "highmem-redists", "highmem-ecam", "highmem-mmio"})
        keys.on(key, false);
    t.out.acpi = keys.text("acpi", "auto") == "auto" || keys.on("acpi", true);
    keys.ignore({"kernel-irqchip", "kvm-shadow-mem", "phandle-start", "x-oem-id", "x-oem-table-id", "hmat",
                 "memory-backend", "accel", "type", "firmware", "pflash0", "pflash1"});
    return {};
}

}  // namespace

Result<void> take_machine(Translation& t) {
    Given machine = t.in.merged("machine");
    // As in QEMU, kernel_irqchip is kernel-irqchip.
    for (auto& [key, value] : machine.values) std::ranges::replace(key, '_', '-');
    if (const auto board = take_board(t, machine); !board) return board;
    Keys keys(machine);
    if (const auto taken = take_properties(t, keys); !taken) return taken;
    if (const auto known = keys.finish(); !known) return known;
    if (!machine.has("kernel"))
        for (const std::string_view key : {"initrd", "append", "dtb"})
            if (machine.has(key)) return failure("-{} only allowed with -kernel option", key);
    return {};
}

}  // namespace arclight::guestos::qemu
