// SCSI commands of whatever bytes, to a disk and to a CD-ROM drive. What is read-only stays as it is, an image keeps its size, nothing is
// put behind the room that there is, and the state that was reached can be loaded.
#include <fcntl.h>

#include <algorithm>
#include <memory>

#include "devices/scsi/logical_unit.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"
#include "tests/fuzz/targets/scratch_file.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

constexpr size_t kSize = 64 * 512;

std::unique_ptr<scsi::LogicalUnit> open_unit(const std::string& path, scsi::LogicalUnit::Kind kind,
                                             bool readonly) {
    auto disk = virtio::Disk::open(path, {.image = {.readonly = readonly}});
    require(disk.has_value(), "an image can be opened");
    return std::make_unique<scsi::LogicalUnit>(
        std::move(*disk), scsi::LogicalUnit::Options{.kind = kind, .serial = "fuzz", .device_id = {}});
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    std::vector<uint8_t> content(kSize);
    for (size_t i = 0; i < content.size(); i++) content[i] = static_cast<uint8_t>(i / 512 + i);
    const ScratchFile file(content);
    const uint8_t options = in.u8();
    const auto kind = (options & 1) != 0 ? scsi::LogicalUnit::Kind::Cdrom : scsi::LogicalUnit::Kind::Disk;
    const bool readonly = (options & 2) != 0 || kind == scsi::LogicalUnit::Kind::Cdrom;
    auto unit = open_unit(file.path(), kind, readonly);
    constexpr uint8_t kOpcodes[] = {0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1d, 0x1e, 0x25,
                                    0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x55,
                                    0x5a, 0x88, 0x8a, 0x8f, 0x93, 0x9e, 0xa8, 0xaa, 0xbd, 0x2e};
    std::vector<uint8_t> data(4096, 'w'), room(8192);
    while (!in.empty()) {
        const uint8_t what = in.u8();
        std::vector<uint8_t> cdb(1 + in.below(20));
        for (uint8_t& byte : cdb) byte = (what & 0x40) != 0 && in.flag() ? 0 : in.u8();
        if ((what & 0x80) == 0) {
            cdb[0] = kOpcodes[what % std::size(kOpcodes)];
            cdb.resize(std::max<size_t>(cdb.size(), scsi::cdb_length(cdb[0])));
        }
        const auto given = in.bytes(in.below(64));
        std::ranges::copy(given, data.begin());
        const size_t length = in.u16() % room.size(), cut = length / 3;
        std::ranges::fill(room, uint8_t{0xee});
        const std::span<uint8_t> to[] = {std::span(room).first(cut),
                                         std::span(room).subspan(cut, length - cut)};
        const std::span<uint8_t> from[] = {std::span(data).first(in.u16() % data.size())};
        const scsi::Reply reply = unit->execute({cdb, from, to});
        require(!reply.postponed, "nothing pauses without a host");
        require(reply.bytes.size() <= 0x1000, "answers are short");
        require(reply.status != scsi::Status::CheckCondition || reply.sense != scsi::kNoSense,
                "a command that fails says why");
        require(std::ranges::all_of(std::span(room).subspan(length), [](uint8_t b) { return b == 0xee; }),
                "nothing is written behind the buffers");
        if (in.below(16) == 0) unit->reset();
    }
    const auto stream = test::save(*unit);
    unit = nullptr;
    auto other = open_unit(file.path(), kind, readonly);
    require(test::load(*other, stream).empty(), "a state that was reached can be loaded");
    require(test::save(*other) == stream, "a loaded state is saved as it was");
    std::vector<uint8_t> after(content.size() + 1);
    const int fd = open(file.path().c_str(), O_RDONLY | O_CLOEXEC);
    const ssize_t size = pread(fd, after.data(), after.size(), 0);
    close(fd);
    require(size == static_cast<ssize_t>(content.size()), "the image keeps its size");
    after.pop_back();
    if (readonly) require(after == content, "an image that is not written to stays as it is");
}

const Registered registered({.name = "scsi", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
