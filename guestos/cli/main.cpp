#include <exception>
#include <vector>

#include "guestos/cli/commands.h"
#include "guestos/machine/machine.h"

int main(int argc, char** argv) {
    using namespace arclight::guestos;
    try {
        return cli::main_with({argv + 1, argv + argc}, ARCLIGHT_VERSION, run_machine);
    } catch (const std::exception& error) {  // out of memory, out of file descriptors
        return cli::complain(error.what());
    }
}
