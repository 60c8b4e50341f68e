#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "devices/char_backend.h"
#include "devices/irq.h"
#include "devices/pl011.h"

namespace arclight::devices::test {

// Remembers the level of each wire.
class FakeController final : public InterruptController {
  public:
    void set_spi(unsigned spi, bool level) override { drive(spis.at(spi), level); }
    void set_ppi(unsigned cpu, unsigned ppi, bool level) override { drive(ppis.at(cpu).at(ppi), level); }
    void reset() override {}

    std::function<void()> before_rise;  // as if the thread that drives a wire had lost its core there

    std::array<std::atomic<bool>, layout::kSpiCount> spis{};
    std::array<std::array<std::atomic<bool>, 32>, layout::kMaxCpus> ppis{};

  private:
    void drive(std::atomic<bool>& wire, bool level) {
        if (level && !wire && before_rise) before_rise();
        wire = level;
    }
};

class FakeSink final : public CpuInterruptSink {
  public:
    void set_irq_line(unsigned cpu, bool irq, bool fiq) override {
        if (irq && !irqs.at(cpu) && before_rise) before_rise();
        irqs.at(cpu) = irq;
        fiqs.at(cpu) = fiq;
        changes++;
    }
    void sgi_sent(unsigned sender, unsigned receiver) override { sgis.emplace_back(sender, receiver); }
    void interrupt_ended(unsigned cpu) override { ended.push_back(cpu); }
    std::vector<std::pair<unsigned, unsigned>> sgis;  // with the controller's lock held, as the next
    std::vector<unsigned> ended;
    std::array<std::atomic<bool>, layout::kMaxCpus> irqs{};
    std::array<std::atomic<bool>, layout::kMaxCpus> fiqs{};
    std::atomic<unsigned> changes{0};
    std::function<void()> before_rise;
};

class FakeTerminal final : public CharBackend {
  public:
    void write(std::span<const uint8_t> bytes) override {
        const std::lock_guard guard(lock);
        text.append(bytes.begin(), bytes.end());
    }
    void accept_input() override {
        if (on_accept) on_accept();
    }
    std::mutex lock;
    std::string text;
    std::function<void()> on_accept;
};

/// One byte of input for whatever takes it.
inline bool type(CharFrontend& to, char c) {
    const auto byte = static_cast<uint8_t>(c);
    return to.receive({&byte, 1}) == 1;
}

// Polls until condition() holds; false after the time is up. Generous, for a busy machine.
template <typename Condition>
bool eventually(Condition&& condition, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
}

}  // namespace arclight::devices::test
