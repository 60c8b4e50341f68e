// -display, -vga, -audio: what is seen and heard, which is nothing.
#include <fmt/format.h>

#include <algorithm>

#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

Result<void> take_displays(Translation& t) {
    const Given display = t.in.merged("display");
    if (display.has("vnc")) return failure("{}: there is no display", display.origin);
    if (display.has("type")) {
        Keys keys(display);
        const std::string type = keys.choice(
            "type", "none",
            {"none", "gtk", "sdl", "curses", "vnc", "egl-headless", "cocoa", "dbus", "spice-app"});
        if (type == "vnc" || type == "spice-app") keys.fail("there is no display");
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
    const Given audio = t.in.merged("audio");
    if (audio.has("driver") && audio.value("driver") != "none")
        return failure("{}: there is no sound", audio.origin);
    return {};
}

}  // namespace arclight::guestos::qemu
