// -display, -vga, -spice, -usbdevice, -audio: what is seen, moved and heard, which is nothing.
#include <fmt/format.h>

#include <algorithm>

#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

Result<void> take_displays(Translation& t) {
    const Given display = t.in.merged("display");
    if (display.has("type")) {
        Keys keys(display);
        const std::string type = keys.choice(
            "type", "none",
            {"none", "default", "gtk", "sdl", "curses", "vnc", "egl-headless", "cocoa", "dbus", "spice-app"});
        keys.take_rest();
        if (const auto known = keys.finish(); !known) return known;
        if (type != "none")
            if (const auto done = t.notes.missed(fmt::format("{}: there is no display", display.origin));
                !done)
                return done;
    }
    if (const auto vga = t.in.word("vga"); vga && *vga != "none") {
        const std::vector<std::string_view> known = {"none",   "std",   "cirrus", "vmware", "qxl",
                                                     "virtio", "xenfb", "tcx",    "cg3"};
        if (std::ranges::find(known, *vga) == known.end())
            return failure("unknown vga type: {}{}", *vga, hint(*vga, known));
        if (const auto done = t.notes.missed(fmt::format("-vga {}: there is no display", *vga)); !done)
            return done;
    }
    for (const std::string_view option : {"spice", "usbdevice"})
        for (const Given* given : t.in.all(option))
            if (const auto done = t.notes.missed(
                    fmt::format("{}: there is no {}", given->origin, option == "spice" ? "display" : "USB"));
                !done)
                return done;
    const Given audio = t.in.merged("audio");
    if (audio.has("driver") && audio.value("driver") != "none")
        return t.notes.missed(fmt::format("{}: there is no sound", audio.origin));
    return {};
}

}  // namespace arclight::guestos::qemu
