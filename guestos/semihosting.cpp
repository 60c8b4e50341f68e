#include "guestos/semihosting.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <utility>
#include <vector>

namespace arclight::guestos {

namespace {

// Section 6 of the specification has the operations, by the number in W0.
enum Operation : uint32_t {
    kOpen = 0x01,
    kClose = 0x02,
    kWriteC = 0x03,
    kWrite0 = 0x04,
    kWrite = 0x05,
    kRead = 0x06,
    kReadC = 0x07,
    kIsError = 0x08,
    kIsTty = 0x09,
    kSeek = 0x0a,
    kFlen = 0x0c,
    kTmpnam = 0x0d,
    kRemove = 0x0e,
    kRename = 0x0f,
    kClock = 0x10,
    kTime = 0x11,
    kSystem = 0x12,
    kErrno = 0x13,
    kGetCmdline = 0x15,
    kHeapInfo = 0x16,
    kExit = 0x18,
    kExitExtended = 0x20,
    kElapsed = 0x30,
    kTickFreq = 0x31,
};

constexpr uint64_t kApplicationExit = 0x20026;  // ADP_Stopped_ApplicationExit
constexpr uint64_t kFailed = ~uint64_t{0};
constexpr uint64_t kTicksPerCentisecond = devices::GuestClock::kFrequency / 100;
constexpr uint64_t kMaxName = 4096;  // PATH_MAX
constexpr uint64_t kChunk = 4096;

}  // namespace

/// The parameter block is read once, word by word as the operation needs it.
struct Semihosting::Call {
    uint32_t operation;
    uint64_t parameter;
    GuestBytes& memory;

    /// The first N 64-bit words of the block; nothing: it cannot be read.
    template <size_t N>
    std::optional<std::array<uint64_t, N>> words() const {
        std::array<uint64_t, N> words;
        static_assert(sizeof words == N * 8);
        if (!memory.read(parameter, {reinterpret_cast<uint8_t*>(words.data()), sizeof words})) return {};
        return words;
    }
    /// A name of `length` bytes and the zero behind it, which the caller promises.
    std::optional<std::string> name(uint64_t va, uint64_t length) const {
        if (length >= kMaxName) return {};
        std::string text(length + 1, '\0');
        if (!memory.read(va, {reinterpret_cast<uint8_t*>(text.data()), text.size()}) || text.back() != '\0' ||
            text.find('\0') != length)
            return {};
        text.pop_back();
        return text;
    }
};

Semihosting::Semihosting(Options options, devices::GuestClock& clock, SemihostingConsole console,
                         std::function<void()> exit)
    : userspace_(options.userspace),
      command_line_(std::move(options.command_line)),
      clock_(clock),
      console_(std::move(console)),
      exit_(std::move(exit)),
      files_(console_, std::move(options.directories)) {}

std::optional<uint64_t> Semihosting::call(bool at_el0, uint32_t operation, uint64_t parameter,
                                          GuestBytes& memory) {
    if (at_el0 && !userspace_) return {};
    std::unique_lock guard(lock_, std::defer_lock);
    memory.outside([&] { guard.lock(); });
    Call call{operation, parameter, memory};
    return carry_out(call);
}

uint64_t Semihosting::carry_out(Call& call) {
    // Of operations whose block is nothing but a handle.
    const auto with_handle = [&](auto&& operation) {
        const auto words = call.words<1>();
        return words ? ask_host(call, [&] { return operation((*words)[0]); }) : refuse(EFAULT);
    };
    switch (call.operation) {
        case kOpen: return open(call);
        case kClose: return with_handle([&](uint64_t handle) { return files_.close(handle); });
        case kWriteC: {
            uint8_t byte;
            if (!call.memory.read(call.parameter, {&byte, 1})) return refuse(EFAULT);
            call.memory.outside([&] { files_.write_error({&byte, 1}); });
            return 0;
        }
        case kWrite0: return write_string(call);
        case kWrite: return transfer(call, true);
        case kRead: return transfer(call, false);
        case kReadC: {
            std::optional<uint8_t> byte;
            call.memory.outside([&] { byte = files_.read_console(); });
            return byte ? *byte : kFailed;
        }
        case kIsError: {
            const auto words = call.words<1>();
            return words ? (*words)[0] >> 63 : refuse(EFAULT);
        }
        case kIsTty: return with_handle([&](uint64_t handle) { return files_.is_tty(handle); });
        case kSeek: {
            const auto words = call.words<2>();
            return words ? ask_host(call, [&] { return files_.seek((*words)[0], (*words)[1]); })
                         : refuse(EFAULT);
        }
        case kFlen: return with_handle([&](uint64_t handle) { return files_.length(handle); });
        case kRemove: return remove(call);
        case kRename: return rename(call);
        case kClock: return clock_.ticks() / kTicksPerCentisecond;
        case kTime: return static_cast<uint64_t>(clock_.wall_ns() / 1'000'000'000);
        case kErrno: return static_cast<uint64_t>(errno_);
        case kGetCmdline: return get_command_line(call);
        case kHeapInfo: return heap_info(call);
        case kExit:
        case kExitExtended: return leave(call);
        case kElapsed: {
            const uint64_t ticks = clock_.ticks();
            const bool written =
                call.memory.write(call.parameter, {reinterpret_cast<const uint8_t*>(&ticks), sizeof ticks});
            return written ? 0 : refuse(EFAULT);
        }
        case kTickFreq: return devices::GuestClock::kFrequency;
        case kTmpnam: return temporary_name(call);
        case kSystem: return refuse(EPERM);  // a command of the host's
        default: return unknown(call.operation);
    }
}

uint64_t Semihosting::give(const Outcome& outcome) {
    if (!outcome.ok()) errno_ = outcome.error;
    return static_cast<uint64_t>(outcome.value);
}

/// Files may wait for the host.
template <typename F>
uint64_t Semihosting::ask_host(Call& call, F&& operation) {
    Outcome outcome;
    call.memory.outside([&] { outcome = operation(); });
    return give(outcome);
}

uint64_t Semihosting::open(Call& call) {
    const auto words = call.words<3>();
    if (!words) return refuse(EFAULT);
    const auto name = call.name((*words)[0], (*words)[2]);
    return name ? ask_host(call, [&] { return files_.open(*name, (*words)[1]); }) : refuse(EFAULT);
}

/// SYS_WRITE and SYS_READ: the result is the number of bytes that were not transferred.
uint64_t Semihosting::transfer(Call& call, bool write) {
    const auto words = call.words<3>();
    if (!words) return refuse(EFAULT);
    const auto [handle, va, length] = *words;
    std::array<uint8_t, kChunk> buffer;
    uint64_t left = length;
    while (left != 0 && !files_.stopped()) {
        const uint64_t at = va + (length - left);
        // Within a page, so that nothing is taken from a file that has no place in the guest.
        const std::span<uint8_t> chunk(buffer.data(), std::min(left, kChunk - at % kChunk));
        if (write ? !call.memory.read(at, chunk) : !call.memory.writable(at, chunk.size())) {
            errno_ = EFAULT;
            break;
        }
        Outcome moved;
        call.memory.outside(
            [&] { moved = write ? files_.write(handle, chunk) : files_.read(handle, chunk); });
        if (!moved.ok()) {
            errno_ = moved.error;
            break;
        }
        const auto n = static_cast<uint64_t>(moved.value);
        if (!write && !call.memory.write(at, chunk.first(n))) {
            errno_ = EFAULT;
            break;
        }
        left -= n;
        if (n < chunk.size()) break;
    }
    return left;
}

uint64_t Semihosting::write_string(Call& call) {
    std::array<uint8_t, kChunk> buffer;
    for (uint64_t va = call.parameter; !files_.stopped();) {
        const std::span<uint8_t> chunk(buffer.data(), kChunk - va % kChunk);
        if (!call.memory.read(va, chunk)) return refuse(EFAULT);
        const auto end = std::ranges::find(chunk, 0);
        call.memory.outside([&] { files_.write_error({chunk.begin(), end}); });
        if (end != chunk.end()) return 0;
        va += chunk.size();
    }
    return 0;
}

uint64_t Semihosting::remove(Call& call) {
    const auto words = call.words<2>();
    const auto name = words ? call.name((*words)[0], (*words)[1]) : std::nullopt;
    if (!name) return refuse(EFAULT);
    return ask_host(call, [&] { return files_.remove(*name); });
}

uint64_t Semihosting::rename(Call& call) {
    const auto words = call.words<4>();
    if (!words) return refuse(EFAULT);
    const auto from = call.name((*words)[0], (*words)[1]);
    const auto to = call.name((*words)[2], (*words)[3]);
    if (!from || !to) return refuse(EFAULT);
    return ask_host(call, [&] { return files_.rename(*from, *to); });
}

/// In the guest's first directory, by the identifier (0 to 255) that the guest gives.
uint64_t Semihosting::temporary_name(Call& call) {
    const auto words = call.words<3>();
    if (!words) return refuse(EFAULT);
    const auto [va, identifier, room] = *words;
    const std::string name = fmt::format("semihosting-{:x}-{:02x}.tmp", getpid(), identifier & 0xff);
    if (room <= name.size()) return refuse(ENAMETOOLONG);
    const bool written =
        call.memory.write(va, {reinterpret_cast<const uint8_t*>(name.c_str()), name.size() + 1});
    return written ? 0 : refuse(EFAULT);
}

/// The text, a zero behind it, and its length in place of the buffer's.
uint64_t Semihosting::get_command_line(Call& call) {
    const auto words = call.words<2>();
    if (!words) return refuse(EFAULT);
    const std::string& text = command_line_;
    if ((*words)[1] <= text.size()) return refuse(E2BIG);
    const uint64_t length = text.size();
    const bool written =
        call.memory.write((*words)[0], {reinterpret_cast<const uint8_t*>(text.c_str()), text.size() + 1}) &&
        call.memory.write(call.parameter + 8, {reinterpret_cast<const uint8_t*>(&length), sizeof length});
    return written ? 0 : refuse(EFAULT);
}

uint64_t Semihosting::heap_info(Call& call) {
    const auto block = call.words<1>();
    if (!block) return refuse(EFAULT);
    const std::array<uint64_t, 4> info = {heap_.base, heap_.limit, heap_.limit, heap_.base};
    const bool written =
        call.memory.write((*block)[0], {reinterpret_cast<const uint8_t*>(info.data()), sizeof info});
    return written ? 0 : refuse(EFAULT);
}

uint64_t Semihosting::leave(Call& call) {
    const auto words = call.words<2>();
    if (!words) return refuse(EFAULT);
    const auto [reason, code] = *words;
    if (!status_) status_ = reason == kApplicationExit ? static_cast<int>(code & 0xff) : 1;
    exit_();
    return 0;
}

uint64_t Semihosting::unknown(uint32_t operation) {
    if (!std::exchange(unknown_said_, true))
        fmt::print(stderr, "arclight: semihosting operation {:#x} is not known; the guest is told so\n",
                   operation);
    return refuse(ENOSYS);
}

}  // namespace arclight::guestos
