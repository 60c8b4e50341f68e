// Parsers for option values. Errors are one line, without the option's name in front.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/device_requests.h"
#include "guestos/initramfs.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos::cli {

/// As QEMU: a plain number is in MiB; the suffix K, M, G or T selects another unit, in either case. Returns bytes.
Result<uint64_t> parse_memory(std::string_view text);
/// As parse_memory(), 1 MiB to 1 GiB.
Result<uint64_t> parse_code_cache(std::string_view text);
/// As parse_memory(), 64 KiB or more.
Result<uint64_t> parse_jit_room(std::string_view text);
/// file=PATH[,format=raw][,if=virtio][,readonly=on|off][,snapshot=on|off][,serial=TEXT][,werror=WORD][,rerror=WORD]
/// [,file.locking=auto|on|off]; a comma in a value is written twice.
Result<DriveOptions> parse_drive(std::string_view text);
/// DIR[:/MOUNT][,readonly=on|off][,security_model=WORD][,multidevs=WORD][,tag=TEXT]; a comma in a value is written twice.
Result<ShareOptions> parse_share(std::string_view text);
/// KIND[,KEY=VALUE]..., with the kinds and keys of QEMU's -netdev and, of its device, mac and mtu (docs/network.md); or none,
/// which gives nothing.
Result<std::optional<NetOptions>> parse_net(std::string_view text);
/// NAME[,OPTION=VALUE]..., with the options of the device (--device NAME,help) and of its place (guestos/device_requests.h).
Result<DeviceOptions> parse_device(std::string_view text);
/// [file=]PATH[,readonly=on|off][,format=raw][,file.locking=auto|on|off]
Result<FlashOptions> parse_flash(std::string_view text);
/// [name=]NAME,file=PATH or [name=]NAME,string=TEXT
Result<FwCfgOptions> parse_fw_cfg(std::string_view text);
/// Splits at single commas; a doubled one stands for itself. At least one part.
std::vector<std::string> split_commas(std::string_view text);
/// A comma-separated list; the result keeps `file` empty.
Result<TraceOptions> parse_trace(std::string_view text);
/// HOST:GUEST; the guest's path starts with a slash.
Result<InitramfsOptions::Addition> parse_addition(std::string_view text);

}  // namespace arclight::guestos::cli
