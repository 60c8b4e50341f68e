// A virtual machine of the KVM accelerator for unit tests; skips where this host has none.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/kvm/probe.h"
#include "backend/kvm/processor_thread.h"

namespace arclight::backend::kvm::testing {

using namespace jit;

/// Once a process.
inline const Probe& the_probe() {
    static const Probe p = probe();
    return p;
}

class KvmTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!the_probe().usable) GTEST_SKIP() << the_probe().why_not;
        auto vm = VirtualMachine::create();
        ASSERT_TRUE(vm) << vm.error();
        vm_ = std::make_unique<VirtualMachine>(std::move(*vm));
        arena_ = std::make_unique<Arena>(size_t{32} << 20);
        process_ = std::make_unique<ProcessMap>(*vm_, *arena_);
    }
    /// One more virtual processor.
    ProcessorThread& processor() {
        auto made = ProcessorThread::create(*vm_, *arena_, *process_, the_probe().native_ring0,
                                            CodeRange{0, 12}, nullptr);
        if (!made) throw std::runtime_error(made.error());
        threads_.push_back(std::move(*made));
        return *threads_.back();
    }
    /// Inside, on a new processor; the error if it does not come back.
    std::string run(const std::function<void()>& body) {
        const auto ran = processor().run(body);
        return ran ? std::string() : ran.error();
    }

    std::unique_ptr<VirtualMachine> vm_;
    std::unique_ptr<Arena> arena_;
    std::unique_ptr<ProcessMap> process_;
    std::vector<std::unique_ptr<ProcessorThread>> threads_;
};

}  // namespace arclight::backend::kvm::testing
