// `arclight run` on a machine whose power key is pressed as soon as the guest prints "press now".
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "devices/event_loop.h"
#include "guestos/boot.h"
#include "guestos/cli/commands.h"
#include "guestos/firmware.h"
#include "guestos/machine/board/machine.h"

namespace arclight::guestos {
namespace {

int complain(const std::string& why) {
    std::fprintf(stderr, "power key: %s\n", why.c_str());
    return 1;
}

struct Output final : devices::CharBackend {
    void write(std::span<const uint8_t> bytes) override {
        (void)std::fwrite(bytes.data(), 1, bytes.size(), stdout);
        (void)std::fflush(stdout);
        const std::lock_guard guard(lock);
        text.append(bytes.begin(), bytes.end());
        if (machine == nullptr || text.find("press now") == std::string::npos) return;
        std::exchange(machine, nullptr)->power_key();
    }
    std::mutex lock;
    std::string text;
    Machine* machine = nullptr;  ///< null: it has been pressed
};

int run_with_key(const RunOptions& given) {
    const auto kernel = read_kernel(given.kernel);
    if (!kernel) return complain(kernel.error());
    const RunOptions options = complete_options(given, kernel->kind);
    devices::EventLoop loop;
    Output output;
    auto created = Machine::create(options, loop, output, nullptr);
    if (!created) return complain(created.error());
    Machine& machine = **created;
    output.machine = &machine;
    if (const auto filled = fill_fw_cfg(machine.fw_cfg(), options, &*kernel); !filled)
        return complain(filled.error());
    const Ram ram{devices::layout::kRamBase, {machine.ram().host(), machine.ram().size()}};
    const auto boot = options.has_firmware() ? load_firmware_guest(options, ram, machine.bus())
                                             : load_guest(options, *kernel, ram, machine.bus());
    if (!boot) return complain(boot.error());
    loop.start();
    const Machine::End end = machine.run(*boot);
    loop.stop();
    std::fflush(stdout);
    if (end == Machine::End::Failure) return complain(machine.failure_text());
    return output.machine == nullptr ? 0 : complain("the guest ended before the key was pressed");
}

}  // namespace
}  // namespace arclight::guestos

int main(int argc, char** argv) {
    using namespace arclight::guestos;
    try {
        return cli::main_with({argv + 1, argv + argc}, "test", run_with_key);
    } catch (const std::exception& error) {
        return cli::complain(error.what());
    }
}
