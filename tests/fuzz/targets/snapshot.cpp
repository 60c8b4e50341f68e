// A snapshot's file from anywhere: it is refused in one line, or all that it says of itself is inside of it.
#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include <numeric>

#include "guestos/snapshot/machine_description.h"
#include "guestos/snapshot/snapshot_file.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"
#include "tests/fuzz/targets/scratch_file.h"

namespace arclight::fuzz {
namespace {

using guestos::MachineDescription;
using guestos::SnapshotFile;

std::vector<uint8_t> pristine() {
    std::vector<uint8_t> parts(3000), ram(8192);
    std::iota(parts.begin(), parts.end(), uint8_t{0});
    ram[5000] = 1;
    const ScratchFile file;
    const int descriptor = ::open(file.path().c_str(), O_RDWR);
    require(SnapshotFile::write(descriptor, "memory 8192\ncpus 2\ngic 3\ndevice virtio-rng mmio next -\n",
                                parts, 0x4000'0000, ram)
                .has_value(),
            "a snapshot can be written");
    struct stat about {};
    fstat(descriptor, &about);
    std::vector<uint8_t> bytes(static_cast<size_t>(about.st_size));
    require(pread(descriptor, bytes.data(), bytes.size(), 0) == about.st_size, "it can be read");
    close(descriptor);
    return bytes;
}

/// Whoever makes a file to harm makes its checksums right.
void correct_checksums(std::vector<uint8_t>& bytes) {
    if (bytes.size() < SnapshotFile::kHeaderBytes) return;
    const auto put = [&](size_t at, uint64_t crc) {
        for (unsigned i = 0; i < 4; ++i) bytes[at + i] = static_cast<uint8_t>(crc >> (8 * i));
    };
    uint64_t length = 0;
    std::memcpy(&length, bytes.data() + 16, 8);
    const uint64_t there = std::min<uint64_t>(length, bytes.size() - SnapshotFile::kHeaderBytes);
    put(24, crc32_z(0, bytes.data() + SnapshotFile::kHeaderBytes, there));
    put(12, crc32_z(0, bytes.data() + 16, SnapshotFile::kHeaderBytes - 16));
}

void look_at(std::span<const uint8_t> bytes) {
    static ScratchFile file;
    file.fill(bytes);
    const auto snapshot = SnapshotFile::open(file.path());
    if (!snapshot) return require_one_line(snapshot.error());
    const SnapshotFile::Ram& ram = snapshot->ram();
    require(ram.offset <= bytes.size() && ram.bytes == bytes.size() - ram.offset,
            "RAM is inside of the file");
    require(ram.offset % 4096 == 0 && ram.bytes % 4096 == 0, "RAM can be mapped");
    require(snapshot->parts().size() <= bytes.size(), "parts are inside of the file");
    const auto description = MachineDescription::parse(snapshot->description());
    if (!description) return require_one_line(description.error());
    guestos::RunOptions open;
    open.restore_memory = open.restore_cpus = true;
    const guestos::RunOptions complete = description->complete(open);
    require(complete.cpus >= 1 && complete.cpus <= 8, "a machine has CPUs");
    if (const auto why = MachineDescription::of(complete).difference_from(*description))
        require_one_line(*why);
}

void run(std::span<const uint8_t> bytes) {
    look_at(bytes);
    static const std::vector<uint8_t> kPristine = pristine();
    std::vector<uint8_t> changed = kPristine;
    Input in(bytes);
    const bool correct = in.flag();
    if (in.below(4) == 0) changed.resize(in.u32() % (changed.size() * 2));
    while (!in.empty() && !changed.empty()) {
        // Most of what matters is in the first hundred bytes.
        const size_t at = in.flag() ? in.u8() % 80 : SnapshotFile::kHeaderBytes + in.u16() % 4096;
        const size_t length = 1 + in.below(8);
        size_t next = at;
        for (const uint8_t byte : in.bytes(length)) changed[std::min(next++, changed.size() - 1)] = byte;
    }
    if (correct) correct_checksums(changed);
    look_at(changed);
}

const Registered registered({.name = "snapshot",
                             .run = run,
                             .words = {"ARCLSNAP", "memory ", "cpus ", "gic ", "device ", "file ",
                                       "network "}});

}  // namespace
}  // namespace arclight::fuzz
