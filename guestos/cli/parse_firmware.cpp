#include "guestos/cli/parse.h"

namespace arclight::guestos::cli {

namespace {

/// KEY=VALUE, or a VALUE alone for the first key.
std::pair<std::string, std::string> split_key(const std::string& part, std::string_view first_key) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos) return {std::string(first_key), part};
    return {part.substr(0, equals), part.substr(equals + 1)};
}

}  // namespace

Result<FlashOptions> parse_flash(std::string_view text) {
    FlashOptions flash;
    bool first = true;
    for (const std::string& part : split_commas(text)) {
        const auto [key, value] = split_key(part, first ? "file" : "");
        first = false;
        if (key == "file") {
            flash.file = value;
        } else if (key == "readonly" || key == "read-only") {
            if (value != "on" && value != "off") return failure("{} is on or off, not '{}'", key, value);
            flash.readonly = value == "on";
        } else if (key == "format") {
            if (value != "raw") return failure("format '{}' is not supported, only raw", value);
        } else if (key == "file.locking" || key == "locking") {
            if (value != "auto" && value != "on" && value != "off")
                return failure("{} is auto, on or off, not '{}'", key, value);
            flash.locking = value;
        } else {
            return failure("unknown key '{}' (known: file, readonly, format, file.locking)",
                           key.empty() ? part : key);
        }
    }
    if (flash.file.empty()) return failure("file=PATH is missing");
    return flash;
}

Result<FwCfgOptions> parse_fw_cfg(std::string_view text) {
    FwCfgOptions entry;
    bool has_text = false, first = true;
    for (const std::string& part : split_commas(text)) {
        const auto [key, value] = split_key(part, first ? "name" : "");
        first = false;
        if (key == "name") {
            entry.name = value;
        } else if (key == "file") {
            entry.file = value;
        } else if (key == "string") {
            entry.text = value;
            has_text = true;
        } else {
            return failure("unknown key '{}' (known: name, file, string)", key.empty() ? part : key);
        }
    }
    // QEMU's limit: FW_CFG_MAX_FILE_PATH, with the zero behind it.
    constexpr size_t kLongestName = 55;
    if (entry.name.empty() || entry.name.size() > kLongestName)
        return failure("a name has 1 to {} characters", kLongestName);
    if (has_text == !entry.file.empty()) return failure("one of file=PATH and string=TEXT is needed");
    return entry;
}

}  // namespace arclight::guestos::cli
