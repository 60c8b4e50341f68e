#include "guestos/acpi/tables.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

namespace arclight::guestos::acpi {

namespace {

namespace layout = devices::layout;

constexpr size_t kHeader = 36, kChecksum = 9;

/// 5.2.6: the header in front of a table's body, with the checksum.
Bytes table(std::string_view signature, uint8_t revision, const Bytes& body) {
    constexpr uint32_t kOemRevision = 1, kCompilerRevision = 1;
    Bytes out;
    append_text(out, signature, 4);
    append(out, kHeader + body.size(), 4);
    out.push_back(revision);
    out.push_back(0);
    append_text(out, "ARCLGT", 6);
    append_text(out, "ARCLIGHT", 8);
    append(out, kOemRevision, 4);
    append_text(out, "ARCL", 4);
    append(out, kCompilerRevision, 4);
    append(out, body);
    out[kChecksum] = static_cast<uint8_t>(-std::accumulate(out.begin(), out.end(), 0));
    return out;
}

Bytes zeros(size_t count) { return Bytes(count); }

/// 5.2.3.2
Bytes memory_register(uint8_t bits, uint8_t access, uint64_t address) {
    Bytes out{0, bits, 0, access};
    append(out, address, 8);
    return out;
}

// ---- FADT, 5.2.9

constexpr size_t kFadtDsdt = 140;  // X_DSDT

Bytes fadt() {
    constexpr uint32_t kHardwareReduced = 1u << 20;
    constexpr uint16_t kPsci = 1, kPsciByHvc = 2;
    constexpr size_t kFlags = 112, kArmFlags = 129, kSize = 276;
    Bytes body = zeros(kSize - kHeader);
    const auto put = [&](size_t at, uint64_t value, unsigned size) {
        for (unsigned i = 0; i < size; ++i) body[at - kHeader + i] = static_cast<uint8_t>(value >> (8 * i));
    };
    put(kFlags, kHardwareReduced, 4);
    put(kArmFlags, kPsci | kPsciByHvc, 2);
    return table("FACP", 6, body);
}

// ---- MADT, 5.2.12

Bytes processor(const Board& board, unsigned cpu) {
    constexpr uint32_t kEnabled = 1;
    Bytes out{0x0b, 80, 0, 0};
    append(out, cpu, 4);  // interface number, then UID
    append(out, cpu, 4);
    append(out, kEnabled, 4);
    append(out, 0, 4);  // parking protocol
    append(out, layout::kPpiPmu, 4);
    append(out, 0, 8);  // parked address
    append(out, board.gic == 2 ? layout::kGicCpuInterface.base : 0, 8);
    append(out, 0, 8 + 8 + 4);                 // virtualisation
    append(out, 0, 8);                         // redistributor: told by itself
    append(out, layout::affinity_of(cpu), 8);  // MPIDR
    append(out, 0, 4);
    return out;
}

Bytes madt(const Board& board) {
    Bytes body = zeros(8);
    append(body, {0x0c, 24, 0, 0, 0, 0, 0, 0});  // distributor
    append(body, layout::kGicDistributor.base, 8);
    append(body, 0, 4);
    append(body, board.gic, 4);
    for (unsigned cpu = 0; cpu < board.cpus; ++cpu) append(body, processor(board, cpu));
    if (board.gic == 3) {
        append(body, {0x0e, 16, 0, 0});  // redistributors
        append(body, layout::kGicRedistributors.base, 8);
        append(body, layout::kGicRedistributors.size, 4);
        if (board.its) {
            append(body, {0x0f, 20, 0, 0, 0, 0, 0, 0});
            append(body, *board.its, 8);
            append(body, 0, 4);
        }
    }
    if (board.msi_frame) {
        append(body, {0x0d, 24, 0, 0, 0, 0, 0, 0});
        append(body, board.msi_frame->base, 8);
        append(body, 1, 4);  // the numbers that follow count, not the frame's own
        append(body, board.msi_frame->spis, 2);
        append(body, layout::kFirstSpiIntid + board.msi_frame->first_spi, 2);
    }
    return table("APIC", 4, body);
}

// ---- GTDT, 5.2.24

Bytes gtdt() {
    constexpr uint64_t kNone = ~uint64_t{0};
    constexpr uint32_t kLevel = 0, kAlwaysOn = 4;
    Bytes body;
    append(body, kNone, 8);
    append(body, 0, 4);
    for (const auto& [ppi, flags] :
         {std::pair(layout::kPpiTimerSecure, kLevel),
          std::pair(layout::kPpiTimerPhysical, kLevel | kAlwaysOn),
          std::pair(layout::kPpiTimerVirtual, kLevel), std::pair(layout::kPpiTimerHypervisor, kLevel)}) {
        append(body, ppi, 4);
        append(body, flags, 4);
    }
    append(body, kNone, 8);
    append(body, 0, 8);
    return table("GTDT", 2, body);
}

// ---- SPCR and DBG2: Microsoft's specifications

constexpr uint8_t kPl011 = 3;

Bytes spcr() {
    constexpr uint8_t kGicInterrupt = 8, kBaud9600 = 3, kOneStopBit = 1, kRtsCts = 2;
    Bytes body{kPl011, 0, 0, 0};
    append(body, memory_register(8, 1, layout::kUart.base));
    append(body, {kGicInterrupt, 0});
    append(body, layout::kFirstSpiIntid + layout::kSpiUart, 4);
    append(body, {kBaud9600, 0, kOneStopBit, kRtsCts, 0, 0});
    append(body, 0xffff'ffff, 4);  // no PCI device
    append(body, zeros(12));
    return table("SPCR", 2, body);
}

Bytes dbg2() {
    constexpr uint16_t kSerial = 0x8000, kAddressAt = 22, kSizeAt = 34, kNameAt = 38;
    constexpr std::string_view kName = "COM0";
    Bytes device{0};
    append(device, kNameAt + kName.size() + 1, 2);
    device.push_back(1);  // registers
    append(device, kName.size() + 1, 2);
    append(device, kNameAt, 2);
    append(device, 0, 4);  // no data of the vendor's
    append(device, kSerial, 2);
    append(device, kPl011, 2);
    append(device, 0, 2);
    append(device, kAddressAt, 2);
    append(device, kSizeAt, 2);
    append(device, memory_register(8, 1, layout::kUart.base));
    append(device, layout::kUart.size, 4);
    append_text(device, kName, kName.size() + 1);
    Bytes body;
    append(body, kHeader + 8, 4);
    append(body, 1, 4);
    append(body, device);
    return table("DBG2", 0, body);
}

// ---- PCI: MCFG (PCI Firmware Specification 3.0), IORT (ARM DEN 0049)

Bytes mcfg(const PciWindows& pci) {
    Bytes body = zeros(8);
    append(body, pci.ecam.base, 8);
    append(body, {0, 0, 0, 255, 0, 0, 0, 0});
    return table("MCFG", 1, body);
}

/// Requester ids of the host bridge are the ITS's device ids.
Bytes iort() {
    constexpr uint32_t kGroupAt = kHeader + 12, kGroupSize = 24, kBridgeSize = 56, kMappingAt = 36;
    constexpr uint32_t kCoherent = 1, kIds = 0xffff, kAddressBits = 64;
    constexpr uint8_t kCoherentPath = 3;
    Bytes body;
    append(body, 2, 4);
    append(body, kGroupAt, 4);
    append(body, 0, 4);

    append(body, {0, kGroupSize, 0, 1});
    append(body, 0, 4 + 4);
    append(body, 0, 4);
    append(body, 1, 4);
    append(body, 0, 4);

    append(body, {2, kBridgeSize, 0, 3});
    append(body, 1, 4);
    append(body, 1, 4);
    append(body, kMappingAt, 4);
    append(body, kCoherent, 4);
    append(body, {0, 0, 0, kCoherentPath});
    append(body, 0, 4 + 4);
    append(body, {kAddressBits, 0, 0, 0});
    append(body, 0, 4);
    append(body, kIds, 4);
    append(body, 0, 4);
    append(body, kGroupAt, 4);
    append(body, 0, 4);
    return table("IORT", 3, body);
}

/// 5.2.29: a node for each socket, cluster and core, and for threads where a core has several; places without a CPU too, as
/// QEMU's has them (build_pptt() in hw/acpi/aml-build.c).
Bytes pptt(const CpuTopology& topology) {
    constexpr uint8_t kSize = 20;
    constexpr uint32_t kPackage = 1, kNamesProcessor = 2, kThread = 4, kLeaf = 8;
    Bytes body;
    // The offset in the table, by which others refer to the node.
    const auto add = [&](uint32_t flags, size_t parent, uint32_t id) {
        const size_t at = kHeader + body.size();
        append(body, {0, kSize, 0, 0});
        append(body, flags, 4);
        append(body, parent, 4);
        append(body, id, 4);
        append(body, 0, 4);  // no resources of its own
        return at;
    };
    uint32_t cpu = 0;
    for (unsigned socket = 0; socket < topology.sockets; ++socket) {
        const size_t package = add(kPackage, 0, socket);
        for (unsigned cluster = 0; cluster < topology.clusters; ++cluster) {
            const size_t group = add(0, package, cluster);
            for (unsigned core = 0; core < topology.cores; ++core) {
                if (topology.threads == 1) {
                    add(kNamesProcessor | kLeaf, group, cpu++);
                    continue;
                }
                const size_t shared = add(0, group, core);
                for (unsigned thread = 0; thread < topology.threads; ++thread)
                    add(kNamesProcessor | kThread | kLeaf, shared, cpu++);
            }
        }
    }
    return table("PPTT", 2, body);
}

// ---- The loader's script

constexpr std::string_view kTablesFile = "etc/acpi/tables", kRsdpFile = "etc/acpi/rsdp";
constexpr size_t kNameBytes = 56, kEntryBytes = 128;

void entry(Bytes& script, uint32_t command, const Bytes& arguments) {
    append(script, command, 4);
    append(script, arguments);
    append(script, zeros(kEntryBytes - 4 - arguments.size()));
}

void allocate(Bytes& script, std::string_view file, uint32_t alignment, uint8_t zone) {
    Bytes arguments;
    append_text(arguments, file, kNameBytes);
    append(arguments, alignment, 4);
    arguments.push_back(zone);
    entry(script, 1, arguments);
}

/// The address of the tables' file is added to what `file` has at `offset`.
void add_pointer(Bytes& script, std::string_view file, size_t offset, uint8_t size) {
    Bytes arguments;
    append_text(arguments, file, kNameBytes);
    append_text(arguments, kTablesFile, kNameBytes);
    append(arguments, offset, 4);
    arguments.push_back(size);
    entry(script, 2, arguments);
}

void add_checksum(Bytes& script, std::string_view file, size_t result, size_t start, size_t length) {
    Bytes arguments;
    append_text(arguments, file, kNameBytes);
    append(arguments, result, 4);
    append(arguments, start, 4);
    append(arguments, length, 4);
    entry(script, 3, arguments);
}

}  // namespace

std::vector<Table> make_tables(const Board& board) {
    std::vector<Table> tables;
    const auto add = [&](Bytes bytes) {
        tables.push_back(
            {.signature = std::string(bytes.begin(), bytes.begin() + 4), .bytes = std::move(bytes)});
    };
    add(table("DSDT", 2, make_dsdt(board)));
    add(fadt());
    add(madt(board));
    add(pptt(board.topology.value_or(CpuTopology::flat(board.cpus))));
    add(gtdt());
    if (board.pci) add(mcfg(*board.pci));
    add(spcr());
    add(dbg2());
    if (board.pci && board.its) add(iort());
    return tables;
}

Files make_files(const Board& board) {
    constexpr uint8_t kAnywhere = 1, kBios = 2;  // zones; the second one for the root pointer
    constexpr uint8_t kPointer = 8;
    Files files;
    allocate(files.loader, kTablesFile, 64, kAnywhere);

    std::vector<Table> tables = make_tables(board);
    struct Placed {
        std::string signature;
        size_t at, size;
    };
    std::vector<Placed> placed;
    const auto place = [&](const std::string& signature, const Bytes& bytes) {
        placed.push_back({signature, files.tables.size(), bytes.size()});
        append(files.tables, bytes);
    };
    for (const Table& one : tables) place(one.signature, one.bytes);
    // Offsets where addresses will be.
    const auto put = [](Bytes& to, size_t at, uint64_t value) {
        for (unsigned i = 0; i < kPointer; ++i) to[at + i] = static_cast<uint8_t>(value >> (8 * i));
    };
    Bytes pointers;
    for (const Placed& one : placed)
        if (one.signature != "DSDT") append(pointers, one.at, kPointer);
    place("XSDT", table("XSDT", 1, pointers));
    const size_t xsdt = placed.back().at;
    for (size_t i = 0; i < pointers.size() / kPointer; ++i)
        add_pointer(files.loader, kTablesFile, xsdt + kHeader + i * kPointer, kPointer);
    const auto facp = std::ranges::find(placed, "FACP", &Placed::signature);
    put(files.tables, facp->at + kFadtDsdt, std::ranges::find(placed, "DSDT", &Placed::signature)->at);
    add_pointer(files.loader, kTablesFile, facp->at + kFadtDsdt, kPointer);
    // Once more over all: two of them have changed, and the field itself must count as zero.
    for (const Placed& one : placed) {
        files.tables[one.at + kChecksum] = 0;
        add_checksum(files.loader, kTablesFile, one.at + kChecksum, one.at, one.size);
    }

    // 5.2.5.3
    constexpr size_t kXsdtAt = 24, kFirstChecksum = 8, kFirstSize = 20, kSecondChecksum = 32, kSize = 36;
    append_text(files.rsdp, "RSD PTR ", 8);
    files.rsdp.push_back(0);
    append_text(files.rsdp, "ARCLGT", 6);
    files.rsdp.push_back(2);
    append(files.rsdp, 0, 4);
    append(files.rsdp, kSize, 4);
    append(files.rsdp, xsdt, 8);
    append(files.rsdp, 0, 4);
    allocate(files.loader, kRsdpFile, 16, kBios);
    add_pointer(files.loader, kRsdpFile, kXsdtAt, kPointer);
    add_checksum(files.loader, kRsdpFile, kFirstChecksum, 0, kFirstSize);
    add_checksum(files.loader, kRsdpFile, kSecondChecksum, 0, kSize);
    return files;
}

}  // namespace arclight::guestos::acpi
