// Descriptors 0 to 2.
#pragma once

namespace arclight::host {

/// Opens /dev/null as each of stdin, stdout and stderr that is closed, so that no file, socket or epoll instance that is
/// opened later becomes one of them. Call it first.
void open_standard_descriptors();

}  // namespace arclight::host
