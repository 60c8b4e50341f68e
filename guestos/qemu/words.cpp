#include "guestos/qemu/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace arclight::guestos::qemu {

namespace {

// `qemu-system-aarch64 -machine help` of version 7.2, without virt.
constexpr std::string_view kOtherBoards[] = {"akita",
                                             "ast1030-evb",
                                             "ast2500-evb",
                                             "ast2600-evb",
                                             "bletchley-bmc",
                                             "borzoi",
                                             "canon-a1100",
                                             "cheetah",
                                             "collie",
                                             "connex",
                                             "cubieboard",
                                             "emcraft-sf2",
                                             "fby35-bmc",
                                             "fby35",
                                             "fp5280g2-bmc",
                                             "fuji-bmc",
                                             "g220a-bmc",
                                             "highbank",
                                             "imx25-pdk",
                                             "integratorcp",
                                             "kudo-bmc",
                                             "kzm",
                                             "lm3s6965evb",
                                             "lm3s811evb",
                                             "mainstone",
                                             "mcimx6ul-evk",
                                             "mcimx7d-sabre",
                                             "microbit",
                                             "midway",
                                             "mori-bmc",
                                             "mps2-an385",
                                             "mps2-an386",
                                             "mps2-an500",
                                             "mps2-an505",
                                             "mps2-an511",
                                             "mps2-an521",
                                             "mps3-an524",
                                             "mps3-an547",
                                             "musca-a",
                                             "musca-b1",
                                             "musicpal",
                                             "n800",
                                             "n810",
                                             "netduino2",
                                             "netduinoplus2",
                                             "none",
                                             "npcm750-evb",
                                             "nuri",
                                             "orangepi-pc",
                                             "palmetto-bmc",
                                             "qcom-dc-scm-v1-bmc",
                                             "qcom-firework-bmc",
                                             "quanta-gbs-bmc",
                                             "quanta-gsj",
                                             "quanta-q71l-bmc",
                                             "rainier-bmc",
                                             "raspi0",
                                             "raspi1ap",
                                             "raspi2b",
                                             "raspi3ap",
                                             "raspi3b",
                                             "realview-eb",
                                             "realview-eb-mpcore",
                                             "realview-pb-a8",
                                             "realview-pbx-a9",
                                             "romulus-bmc",
                                             "sabrelite",
                                             "sbsa-ref",
                                             "smdkc210",
                                             "sonorapass-bmc",
                                             "spitz",
                                             "stm32vldiscovery",
                                             "supermicrox11-bmc",
                                             "sx1",
                                             "sx1-v1",
                                             "tacoma-bmc",
                                             "terrier",
                                             "tosa",
                                             "verdex",
                                             "versatileab",
                                             "versatilepb",
                                             "vexpress-a15",
                                             "vexpress-a9",
                                             "witherspoon-bmc",
                                             "xilinx-zynq-a9",
                                             "xlnx-versal-virt",
                                             "xlnx-zcu102",
                                             "z2"};

// `qemu-system-aarch64 -cpu help` of version 7.2: those of 32 bits.
constexpr std::string_view k32BitCpus[] = {
    "arm1026",    "arm1136",    "arm1136-r2", "arm1176",   "arm11mpcore", "arm926",    "arm946",
    "cortex-a15", "cortex-a7",  "cortex-a8",  "cortex-a9", "cortex-m0",   "cortex-m3", "cortex-m33",
    "cortex-m4",  "cortex-m55", "cortex-m7",  "cortex-r5", "cortex-r5f",  "pxa250",    "pxa255",
    "pxa260",     "pxa261",     "pxa262",     "pxa270-a0", "pxa270-a1",   "pxa270",    "pxa270-b0",
    "pxa270-b1",  "pxa270-c0",  "pxa270-c5",  "sa1100",    "sa1110",      "ti925t"};

constexpr std::string_view kBoardVersions[] = {"2.6", "2.7", "2.8", "2.9", "2.10", "2.11", "2.12",
                                               "3.0", "3.1", "4.0", "4.1", "4.2",  "5.0",  "5.1",
                                               "5.2", "6.0", "6.1", "6.2", "7.0",  "7.1"};

}  // namespace

bool is_other_board(std::string_view name) {
    return std::ranges::find(kOtherBoards, name) != std::end(kOtherBoards);
}

bool is_32_bit_cpu(std::string_view name) {
    return std::ranges::find(k32BitCpus, name) != std::end(k32BitCpus);
}

std::string machine_help() {
    std::string text = "Supported machines are:\n";
    const auto line = [&](std::string_view name, std::string_view about) {
        text += fmt::format("{:<20} {}\n", name, about);
    };
    for (const std::string_view version : kBoardVersions)
        line(fmt::format("virt-{}", version),
             fmt::format("QEMU {} ARM Virtual Machine (taken as virt-7.2)", version));
    line("virt", "QEMU 7.2 ARM Virtual Machine (alias of virt-7.2)");
    line("virt-7.2", "QEMU 7.2 ARM Virtual Machine");
    return text;
}

std::string accelerator_help() { return "Accelerators supported in QEMU binary:\ntcg\n"; }

}  // namespace arclight::guestos::qemu
