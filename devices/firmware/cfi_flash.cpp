#include "devices/firmware/cfi_flash.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "devices/fdt_writer.h"
#include "devices/layout.h"

namespace arclight::devices {

namespace {

constexpr uint8_t kReadArray = 0x00;  // as reset leaves it; the guest writes 0xff
constexpr uint8_t kProgramAlternate = 0x10, kProgram = 0x40;
constexpr uint8_t kErase = 0x20, kClearStatus = 0x50, kLock = 0x60, kReadStatus = 0x70;
constexpr uint8_t kReadId = 0x90, kQuery = 0x98, kProgramBuffer = 0xe8;
constexpr uint8_t kConfirm = 0xd0, kSetLock = 0x01, kResetAmd = 0xf0, kResetIntel = 0xff;

constexpr uint8_t kReady = 0x80, kEraseError = 0x20, kProgramError = 0x10;

constexpr unsigned kBankWidth = 4, kChipWidth = 2, kChips = kBankWidth / kChipWidth;
constexpr uint8_t kManufacturer = 0x89, kChip = 0x18;  // Intel, as QEMU's virt board tells

constexpr uint32_t kStateVersion = 1;

/// What the query command shows of each chip (JEP137), by word.
std::array<uint8_t, 0x52> make_query(uint64_t bank_bytes) {
    std::array<uint8_t, 0x52> q{};
    constexpr uint64_t kChipBlock = CfiFlash::kBlock / kChips;
    const uint64_t blocks = bank_bytes / CfiFlash::kBlock - 1;
    const std::pair<unsigned, uint64_t> bytes[] = {
        {0x10, 'Q'},
        {0x11, 'R'},
        {0x12, 'Y'},
        {0x13, 0x01},  // Intel command set
        {0x15, 0x31},  // its extended table
        {0x1b, 0x45},
        {0x1c, 0x55},  // Vcc 4.5 to 5.5 V
        {0x1f, 0x07},
        {0x20, 0x07},
        {0x21, 0x0a},  // typical times: 128 us a word and a buffer, 1 s a block
        {0x23, 0x04},
        {0x24, 0x04},
        {0x25, 0x04},  // 16 times as long at most
        {0x27, std::bit_width(bank_bytes / kChips) - 1u},
        {0x28, 0x02},  // 8 and 16 bits wide
        {0x2a, std::bit_width(CfiFlash::kBufferBytes / kChips) - 1u},
        {0x2c, 1},  // one kind of blocks
        {0x2d, blocks},
        {0x2e, blocks >> 8},
        {0x2f, kChipBlock >> 8},
        {0x30, kChipBlock >> 16},
        {0x31, 'P'},
        {0x32, 'R'},
        {0x33, 'I'},
        {0x34, '1'},
        {0x35, '0'},
        {0x3f, 0x01},  // protection fields
    };
    for (const auto& [at, value] : bytes) q[at] = static_cast<uint8_t>(value);
    return q;
}

}  // namespace

CfiFlash::CfiFlash(unsigned number, FlashBank& bank, std::function<void(const std::string&)> say)
    : number_(number), bank_(bank), say_(std::move(say)), query_(make_query(bank.array().size())) {}

void CfiFlash::reset() {
    const std::lock_guard guard(lock_);
    state_ = {};
    buffer_.clear();
    array_mode_.store(true, std::memory_order_release);
}

// ---- reading

uint64_t CfiFlash::read_array(uint64_t offset, unsigned size) const {
    uint64_t value = 0;
    std::memcpy(&value, bank_.array().data() + offset, size);
    return value;
}

/// In the modes other than the array's: each chip answers in its 16 bits, by words of the bank.
uint8_t CfiFlash::read_byte(uint64_t offset) const {
    const bool low = offset % kChipWidth == 0;
    const uint64_t word = offset / kBankWidth;
    switch (state_.command) {
        case kReadId:
            if (!low || (word & 0xff) > 1) return 0;
            return (word & 0xff) == 0 ? kManufacturer : kChip;
        case kQuery: return low && word < query_.size() ? query_[word] : uint8_t{0};
        default: return low ? state_.status : uint8_t{0};
    }
}

uint64_t CfiFlash::read(uint64_t offset, unsigned size) {
    if (array_mode_.load(std::memory_order_acquire)) return read_array(offset, size);
    const std::lock_guard guard(lock_);
    if (state_.command == kReadArray) return read_array(offset, size);
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value |= uint64_t{read_byte(offset + i)} << (8 * i);
    return value;
}

// ---- commands

void CfiFlash::read_array_again() {
    state_.command = kReadArray;
    state_.cycle = 0;
    array_mode_.store(true, std::memory_order_release);
}

/// As QEMU: the array is read again, and the status tells of an error.
void CfiFlash::bad_sequence() { read_array_again(); }

/// Into the array, and into the file. False: the status says so.
bool CfiFlash::program(uint64_t offset, std::span<const uint8_t> bytes) {
    if (bank_.write(offset, bytes)) return true;
    if (!bank_.readonly() && !std::exchange(said_, true) && say_)
        say_(fmt::format("flash bank {}: its image cannot be written; the guest is told of an error",
                         number_));
    return false;
}

void CfiFlash::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(lock_);
    // The bus of the chips is 32 bits wide.
    write_word(offset, static_cast<uint32_t>(value), std::min(size, kBankWidth));
    if (size > kBankWidth) write_word(offset + kBankWidth, static_cast<uint32_t>(value >> 32), kBankWidth);
}

void CfiFlash::write_word(uint64_t offset, uint32_t value, unsigned size) {
    const auto command = static_cast<uint8_t>(value);
    array_mode_.store(false, std::memory_order_release);
    switch (state_.cycle) {
        case 0: return first_cycle(offset, command);
        case 1: return second_cycle(offset, value, size);
        case 2: return fill_buffer(offset, value, size);
        default: return confirm_buffer(command);
    }
}

void CfiFlash::first_cycle(uint64_t offset, uint8_t command) {
    switch (command) {
        case kReadStatus:
        case kReadId: state_.command = command; return;
        case kClearStatus: state_.status = 0; return read_array_again();
        case kErase: {
            // The bytes are gone with the first cycle already, as in QEMU; the second one is the confirmation.
            static constexpr std::array<uint8_t, 4096> kErased = [] {
                std::array<uint8_t, 4096> ones{};
                ones.fill(0xff);
                return ones;
            }();
            const uint64_t start = offset & ~(kBlock - 1);
            bool done = true;
            for (uint64_t at = start; at < start + kBlock && done; at += kErased.size())
                done = program(at, kErased);
            state_.status |= done ? kReady : kReady | kEraseError;
            break;
        }
        case kProgramBuffer: state_.status |= kReady; break;
        case kProgramAlternate:
        case kProgram:
        case kLock:
        case kQuery: break;
        case kReadArray:
        case kResetAmd:
        case kResetIntel: return read_array_again();
        default: return bad_sequence();
    }
    state_.command = command;
    state_.cycle = 1;
}

void CfiFlash::second_cycle(uint64_t offset, uint32_t value, unsigned size) {
    const auto command = static_cast<uint8_t>(value);
    const auto done = [this] {
        state_.cycle = 0;
        state_.status |= kReady;
    };
    switch (state_.command) {
        case kProgramAlternate:
        case kProgram: {
            std::array<uint8_t, 4> bytes{};
            std::memcpy(bytes.data(), &value, sizeof value);
            if (!program(offset, std::span(bytes).first(size))) state_.status |= kProgramError;
            return done();
        }
        case kErase:
            if (command == kConfirm) return done();
            return command == kResetIntel ? read_array_again() : bad_sequence();
        case kLock:
            if (command == kConfirm || command == kSetLock) return done();
            return command == kResetIntel ? read_array_again() : bad_sequence();
        case kProgramBuffer:
            // Words less one, for each chip in its own 16 bits.
            state_.words_left = value & 0xffff;
            state_.cycle = 2;
            buffer_.clear();
            return;
        case kQuery:
            if (command == kResetIntel) read_array_again();
            return;
        default: return bad_sequence();
    }
}

/// The buffer holds what the block will be; the first word says which block of kBufferBytes that is.
void CfiFlash::fill_buffer(uint64_t offset, uint32_t value, unsigned size) {
    if (buffer_.empty()) {
        state_.buffer_start = offset & ~uint64_t{kBufferBytes - 1};
        const auto old = bank_.array().subspan(state_.buffer_start, kBufferBytes);
        buffer_.assign(old.begin(), old.end());
    }
    const uint64_t at = offset - state_.buffer_start;
    if (at < kBufferBytes && size <= kBufferBytes - at)
        std::memcpy(buffer_.data() + at, &value, size);
    else
        state_.status |= kProgramError;
    state_.status |= kReady;
    if (state_.words_left-- == 0) state_.cycle = 3;
}

void CfiFlash::confirm_buffer(uint8_t command) {
    if (command != kConfirm) {
        buffer_.clear();
        return read_array_again();
    }
    if ((state_.status & kProgramError) == 0 && !program(state_.buffer_start, buffer_))
        state_.status |= kProgramError;
    buffer_.clear();
    state_.cycle = 0;
    state_.status |= kReady;
}

void CfiFlash::add_to_device_tree(FdtWriter& fdt) const {
    // One node for both banks, as the board's firmware looks for it.
    if (number_ != 0) return;
    fdt.begin_node("flash@0");
    fdt.property_string("compatible", "cfi-flash");
    fdt.property_u64s("reg",
                      {layout::flash_base(0), layout::kFlashBank, layout::flash_base(1), layout::kFlashBank});
    fdt.property_u32("bank-width", kBankWidth);
    fdt.end_node();
}

// ---- state

void CfiFlash::save(StateWriter& out) const {
    out.section("cfi-flash", kStateVersion, [&] {
        out(state_);
        out.bytes(buffer_);
        out.bytes(bank_.readonly() ? std::vector<uint8_t>() : bank_.pages());
    });
}

StateResult CfiFlash::load(StateReader& in) {
    State state;
    std::vector<uint8_t> buffer, pages;
    const uint64_t all_pages = bank_.array().size() / FlashBank::kPage * (FlashBank::kPage + 4);
    const auto loaded = in.section("cfi-flash", kStateVersion, [&] {
        in(state);
        in.bytes(buffer, kBufferBytes);
        in.bytes(pages, all_pages);
        in.require(state.cycle <= 3, "a command has had too many cycles");
        in.require(buffer.empty() || buffer.size() == kBufferBytes, "a program buffer has another size");
        in.require(state.cycle < 3 || !buffer.empty(), "a program buffer is not there");
        in.require(state.buffer_start % kBufferBytes == 0 && state.buffer_start < bank_.array().size(),
                   "a program buffer is outside of the bank");
        in.require(state.command != kReadArray || state.cycle == 0, "a command is not there");
        in.require(!bank_.readonly() || pages.empty(), "a read-only flash bank has another content");
    });
    if (!loaded) return loaded;
    const std::lock_guard guard(lock_);
    if (!bank_.readonly() && !bank_.set_pages(pages))
        return failure("flash bank {} cannot be restored", number_);
    state_ = state;
    buffer_ = std::move(buffer);
    array_mode_.store(state_.command == kReadArray, std::memory_order_release);
    return {};
}

}  // namespace arclight::devices
