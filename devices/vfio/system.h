// What of the system VFIO wants, so that tests can stand in for a host with devices to give.
#pragma once

#include <functional>
#include <string>

namespace arclight::devices::vfio {

/// As ioctl(): negative, and errno says why.
using Ioctl = std::function<int(int file, unsigned long request, void* argument)>;

struct System {
    std::string sysfs = "/sys";
    std::string dev = "/dev";
    Ioctl ioctl = nullptr;  ///< null: the kernel's

    int call(int file, unsigned long request, void* argument) const;
    /// Of those that take a number.
    int call(int file, unsigned long request, unsigned long argument = 0) const {
        return call(file, request, reinterpret_cast<void*>(argument));
    }
};

/// A file that is closed with its owner.
class File {
  public:
    explicit File(int number = -1) : number_(number) {}
    ~File();
    File(File&& other) noexcept : number_(other.number_) { other.number_ = -1; }
    File& operator=(File&& other) noexcept;
    int get() const { return number_; }

  private:
    int number_;
};

}  // namespace arclight::devices::vfio
