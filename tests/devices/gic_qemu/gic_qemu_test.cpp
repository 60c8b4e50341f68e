// Runs the same script of GIC accesses on our model and inside QEMU's virt board, and compares every result.
#include <gtest/gtest.h>

#include <cstdio>
#include <deque>
#include <string>

#include "devices/gic_v2.h"
#include "devices/gic_v3.h"
#include "tests/devices/fakes.h"

namespace {

using namespace arclight::devices;

Bus* bus = nullptr;
GicV3* gic3 = nullptr;
test::FakeSink* sink = nullptr;
FILE* qemu = nullptr;
unsigned line_number = 0;
std::deque<std::string> trail;  // what was done before the first difference
bool differs = false;

#include "tests/devices/gic_qemu/script.h"

void note(std::string text) {
    trail.push_back(std::move(text));
    if (trail.size() > 60) trail.pop_front();
}

std::string format(const char* pattern, uint64_t a, uint64_t b) {
    char text[80];
    std::snprintf(text, sizeof text, pattern, static_cast<unsigned long>(a), static_cast<unsigned long>(b));
    return text;
}

constexpr uint32_t kEncodings[] = {
#define X(name, crn, crm, op2, r, w) 3u << 14 | crn << 7 | crm << 3 | op2,
    ICC_REGISTERS(X)
#undef X
};
constexpr const char* names[] = {
#define X(name, crn, crm, op2, r, w) #name,
    ICC_REGISTERS(X)
#undef X
};

uint32_t mmio_read(uint32_t address) {
    uint64_t value = 0;
    EXPECT_TRUE(bus->read(address, 4, value));
    return static_cast<uint32_t>(value);
}

void mmio_write(uint32_t address, uint32_t value) {
    note(format("write %lx = %lx", address, value));
    EXPECT_TRUE(bus->write(address, 4, value));
}

uint64_t icc_read(unsigned index) {
    uint64_t value = 0;
    EXPECT_TRUE(gic3->read_sysreg(0, kEncodings[index], value)) << names[index];
    return value;
}

void icc_write(unsigned index, uint64_t value) {
    note(names[index] + format(" = %lx", value, 0));
    EXPECT_TRUE(gic3->write_sysreg(0, kEncodings[index], value)) << names[index];
}

uint32_t interrupt_lines() { return (sink->irqs[0] ? 0x80 : 0) | (sink->fiqs[0] ? 0x40 : 0); }

void emit(uint64_t operation, uint64_t value) {
    if (differs) return;
    line_number++;
    unsigned long their_operation = 0, their_value = 0;
    const int fields = std::fscanf(qemu, "%lx %lx", &their_operation, &their_value);
    if (fields == 2 && their_operation == operation && their_value == value) {
        note((operation < icc_count ? names[operation] : "") + format(" %lx: %lx", operation, value));
        return;
    }
    differs = true;
    std::string history;
    for (const std::string& step : trail) history += step + "\n";
    ADD_FAILURE() << history << "result " << line_number << ": ours" << format(" %lx: %lx", operation, value)
                  << ", QEMU's" << format(" %lx: %lx", their_operation, their_value);
}

void compare(int version, const char* guest) {
    const std::string command = std::string(QEMU_SYSTEM) + " -M virt,gic-version=" + std::to_string(version) +
                                " -cpu cortex-a57 -smp 2 -m 64 -display none -serial stdio -kernel " + guest +
                                " 2>/dev/null";
    test::FakeSink lines;
    GicV3 v3(2, lines);
    GicV2 v2(2, lines);
    Bus map;
    version == 3 ? v3.map(map) : v2.map(map);
    bus = &map;
    gic3 = &v3;
    sink = &lines;
    qemu = popen(command.c_str(), "r");
    ASSERT_NE(qemu, nullptr);
    differs = false;
    line_number = 0;
    trail.clear();
    run_script(version, SCRIPT_SEED, SCRIPT_STEPS);
    EXPECT_GT(line_number, SCRIPT_STEPS / 2);
    EXPECT_GT(acknowledged_total, SCRIPT_STEPS / 100) << "the script must not idle";
    pclose(qemu);
}

TEST(GicQemu, V3) { compare(3, GUEST_V3); }
TEST(GicQemu, V2) { compare(2, GUEST_V2); }

}  // namespace
