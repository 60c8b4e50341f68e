// Of programs without libslirp.
#include "guestos/net/network.h"

namespace arclight::guestos {

Result<std::unique_ptr<devices::NetBackend>> make_user_network(const NetOptions&, devices::CharBackends*) {
    return failure("--net user: this program is built without libslirp");
}

}  // namespace arclight::guestos
