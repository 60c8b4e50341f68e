#include "guestos/snapshot/file_copy.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace arclight::guestos {

namespace {

constexpr size_t kChunk = 1 << 20;

std::unexpected<std::string> failed() { return failure("{}", std::strerror(errno)); }

Result<void> copy_range(int from, int to, off_t at, off_t end) {
    std::vector<char> chunk;
    for (off_t in = at, out = at; in < end;) {
        const auto wanted = static_cast<size_t>(end - in);
        ssize_t done = chunk.empty() ? copy_file_range(from, &in, to, &out, wanted, 0) : -1;
        if (done > 0) continue;
        if (done == 0) break;  // it has become shorter
        // Between some file systems the kernel does not copy.
        chunk.resize(kChunk);
        done = pread(from, chunk.data(), std::min(wanted, kChunk), in);
        if (done < 0) return failed();
        if (done == 0) break;
        for (ssize_t written = 0; written < done;) {
            const ssize_t n =
                pwrite(to, chunk.data() + written, static_cast<size_t>(done - written), out + written);
            if (n <= 0) return failed();
            written += n;
        }
        in += done, out += done;
    }
    return {};
}

Result<void> copy_data(int from, int to, off_t size) {
    if (ftruncate(to, size) != 0) return failed();
    for (off_t at = 0; at < size;) {
        const off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;  // holes only
        if (data < 0) return copy_range(from, to, at, size);
        const off_t hole = lseek(from, data, SEEK_HOLE), end = hole < 0 ? size : std::min(hole, size);
        if (auto copied = copy_range(from, to, data, end); !copied) return copied;
        at = end;
    }
    return {};
}

}  // namespace

Result<void> copy_file(int from, int to) {
    struct stat about {};
    if (fstat(from, &about) != 0) return failed();
    if (ioctl(to, FICLONE, from) != 0)
        if (auto copied = copy_data(from, to, about.st_size); !copied) return copied;
    const std::array<timespec, 2> times{about.st_mtim, about.st_mtim};
    if (futimens(to, times.data()) != 0 || fsync(to) != 0) return failed();
    return {};
}

}  // namespace arclight::guestos
