#include "jit/llvm/region_compiler.h"

#include <llvm/Analysis/AliasAnalysis.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/ExecutionEngine/Orc/MapperJITLinkMemoryManager.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/PassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/CommandLine.h>
#include <llvm/Support/ErrorHandling.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/LoopPassManager.h>
#include <llvm/Transforms/Scalar/SROA.h>
#include <llvm/Transforms/Scalar/SimpleLoopUnswitch.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>
#include <llvm/Transforms/Utils/Cloning.h>
#include <llvm/Transforms/Utils/LCSSA.h>
#include <llvm/Transforms/Utils/LoopSimplify.h>

#include <atomic>
#include <cstring>
#include <iterator>
#include <mutex>
#include <unordered_map>

#include "jit/llvm/code_mapper.h"
#include "jit/llvm/ir_lowering.h"
#include "jit/llvm/region_exits.h"
#include "jit/llvm/region_module.h"
#include "jit/llvm/sink_to_exits.h"

namespace arclight::jit {

namespace orc = llvm::orc;

namespace {
class LlvmRegionCompiler final : public RegionCompiler {
  public:
    explicit LlvmRegionCompiler(bool avx512);
    std::string compile(const Region& region, RegionDump* dump) override;
    std::optional<RegionCode> load(const std::string& object) override;
    void unload(uint64_t handle) override;
    void place_code(CodeRoom room) override { room_ = room; }
    const std::string& fingerprint() const override { return fingerprint_; }
    bool broken() const override;
    void give_up() override;

  private:
    void optimise(llvm::Function& f);
    void remove(uint64_t handle);
    void start_linker();

    std::unique_ptr<llvm::TargetMachine> target_;
    std::unique_ptr<orc::LLJIT> jit_;  ///< null until there is something to load
    CodeRoom room_;                    ///< empty: anywhere
    orc::JITTargetMachineBuilder builder_;
    llvm::LoopAnalysisManager loops_;
    llvm::FunctionAnalysisManager functions_;
    llvm::CGSCCAnalysisManager sccs_;
    llvm::ModuleAnalysisManager modules_;
    llvm::FunctionPassManager passes_;
    std::string fingerprint_;

    std::mutex lock_;
    std::unordered_map<uint64_t, orc::JITDylib*> loaded_;
    uint64_t next_handle_ = 1;
};

/// LLVM's way to give up ends the process. Its frames have unwind tables but no clean-up, so the exception
/// leaves it in the middle of what it did, with its locks held: see RegionCompiler::broken().
std::atomic<bool> gave_up{false};
void on_fatal_error(void*, const char* reason, bool) {
    gave_up = true;
    throw std::runtime_error(std::string("LLVM gave up: ") + reason);
}

[[noreturn]] void fail(llvm::Error error) {
    throw std::runtime_error("LLVM: " + llvm::toString(std::move(error)));
}
template <typename T>
T take(llvm::Expected<T> value) {
    if (!value) fail(value.takeError());
    return std::move(*value);
}

void initialise_once() {
    static std::once_flag once;
    std::call_once(once, [] {
        llvm::install_fatal_error_handler(on_fatal_error);
        llvm::install_bad_alloc_error_handler(on_fatal_error);
        // The guest's compiler has chosen what its loops count, for the same kind of addresses. And masks of AVX-512
        // stay where they are made: to look for better places is an eighth of all compile time.
        const char* options[] = {"arclight", "-disable-lsr", "-disable-x86-domain-reassignment"};
        llvm::cl::ParseCommandLineOptions(static_cast<int>(std::size(options)), options);
        llvm::InitializeNativeTarget();
        llvm::InitializeNativeTargetAsmPrinter();
        llvm::InitializeNativeTargetAsmParser();
    });
}

orc::JITTargetMachineBuilder detect_host() {
    initialise_once();
    return take(orc::JITTargetMachineBuilder::detectHost());
}

LlvmRegionCompiler::LlvmRegionCompiler(bool avx512) : builder_(detect_host()) {
    orc::JITTargetMachineBuilder& builder = builder_;
    builder.setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
    builder.setRelocationModel(llvm::Reloc::PIC_);
    builder.setCodeModel(llvm::CodeModel::Small);
    // Short loops across two lines of the decoded instructions' cache take half as long again.
    builder.getOptions().LoopAlignment = 32;
    // No vectors of 512 bits. What came with them for shorter ones is of use: twice the registers, and
    // operands that are one number in memory.
    const auto host = llvm::sys::getHostCPUFeatures();
    for (const char* needed : {"avx512vl", "avx512dq", "avx512bw"}) avx512 = avx512 && host.lookup(needed);
    if (!avx512) builder.getFeatures().AddFeature("avx512f", false);
    target_ = take(builder.createTargetMachine());
    fingerprint_ = builder.getTargetTriple().str() + "/" + builder.getCPU() + "/" +
                   builder.getFeatures().getString() + "/" LLVM_VERSION_STRING;

    llvm::PassBuilder pb(target_.get());
    pb.registerModuleAnalyses(modules_);
    pb.registerCGSCCAnalyses(sccs_);
    pb.registerFunctionAnalyses(functions_);
    pb.registerLoopAnalyses(loops_);
    pb.crossRegisterProxies(loops_, functions_, sccs_, modules_);

    passes_.addPass(llvm::SROAPass(llvm::SROAOptions::ModifyCFG));
    passes_.addPass(llvm::EarlyCSEPass(true));
    passes_.addPass(llvm::InstCombinePass());
    passes_.addPass(llvm::SimplifyCFGPass());
    llvm::LoopPassManager loop_passes;
    loop_passes.addPass(llvm::LICMPass(llvm::LICMOptions()));
    loop_passes.addPass(llvm::SimpleLoopUnswitchPass(/*NonTrivial=*/false));
    passes_.addPass(llvm::createFunctionToLoopPassAdaptor(std::move(loop_passes), /*UseMemorySSA=*/true));
    passes_.addPass(llvm::EarlyCSEPass(true));
    passes_.addPass(llvm::SimplifyCFGPass());
}

void LlvmRegionCompiler::start_linker() {
    orc::LLJITBuilder builder;
    builder.setJITTargetMachineBuilder(builder_);
    if (!room_.executable.empty()) {
        builder.setObjectLinkingLayerCreator([this](orc::ExecutionSession& session, const llvm::Triple&) {
            constexpr size_t kUnit = size_t{1} << 20;
            return std::make_unique<orc::ObjectLinkingLayer>(
                session, std::make_unique<orc::MapperJITLinkMemoryManager>(
                             kUnit, std::make_unique<tier2::CodeMapper>(room_)));
        });
    }
    jit_ = take(builder.create());
    // It comes back as the result too, where it is counted.
    jit_->getExecutionSession().setErrorReporter([](llvm::Error e) { llvm::consumeError(std::move(e)); });
}

void LlvmRegionCompiler::optimise(llvm::Function& f) {
    passes_.run(f, functions_);
    tier2::sink_to_exits(f);
    functions_.clear();
    loops_.clear();
    sccs_.clear();
    modules_.clear();
}

bool LlvmRegionCompiler::broken() const { return gave_up; }
void LlvmRegionCompiler::give_up() { llvm::report_fatal_error("as asked for", /*gen_crash_diag=*/false); }

std::string LlvmRegionCompiler::compile(const Region& region, RegionDump* dump) {
    llvm::LLVMContext context;
    llvm::Module module("region", context);
    module.setDataLayout(target_->createDataLayout());
    module.setTargetTriple(target_->getTargetTriple().str());
    tier2::IrLowering lowering(module, region);
    llvm::Function* function = lowering.run();
    if (function == nullptr) return {};
#ifndef NDEBUG
    std::string problem;
    llvm::raw_string_ostream problems(problem);
    if (llvm::verifyModule(module, &problems)) throw std::runtime_error("tier 2 made wrong IR: " + problem);
#endif
    if (dump != nullptr)
        for (const RegionBlock& b : region.blocks)
            dump->ir += "block at offset " + std::to_string(b.offset) + "\n" + ir::print(b.ir);
    optimise(*function);
    if (dump != nullptr) {
        llvm::raw_string_ostream out(dump->llvm);
        module.print(out, nullptr);
    }
    const auto emit = [&](llvm::CodeGenFileType type) {
        llvm::SmallVector<char, 0> bytes;
        llvm::raw_svector_ostream out(bytes);
        llvm::legacy::PassManager codegen;
        if (target_->addPassesToEmitFile(codegen, out, nullptr, type))
            throw std::runtime_error("LLVM has no code generator for this host");
        codegen.run(module);
        return std::string(bytes.begin(), bytes.end());
    };
    if (dump != nullptr) {
        const std::unique_ptr<llvm::Module> copy = llvm::CloneModule(module);
        llvm::SmallVector<char, 0> bytes;
        llvm::raw_svector_ostream out(bytes);
        llvm::legacy::PassManager codegen;
        if (!target_->addPassesToEmitFile(codegen, out, nullptr, llvm::CodeGenFileType::AssemblyFile))
            codegen.run(*copy);
        dump->assembly.assign(bytes.begin(), bytes.end());
    }
    return tier2::add_exit_stubs(emit(llvm::CodeGenFileType::ObjectFile), lowering.exits());
}

std::optional<RegionCode> LlvmRegionCompiler::load(const std::string& object) {
    auto buffer = llvm::MemoryBuffer::getMemBufferCopy(object, "region");
    RegionCode code;
    auto file = llvm::object::ObjectFile::createObjectFile(buffer->getMemBufferRef());
    if (!file) {
        llvm::consumeError(file.takeError());
        return std::nullopt;
    }
    tier2::CodeEnd end{};
    for (const auto& section : (*file)->sections()) {
        if (!section.isText() || section.getSize() == 0) continue;
        code.bytes += section.getSize();
        auto text = section.getContents();
        if (!text) {
            llvm::consumeError(text.takeError());
            return std::nullopt;
        }
        if (text->size() < sizeof end) return std::nullopt;
        std::memcpy(&end, text->data() + text->size() - sizeof end, sizeof end);
    }
    const size_t tail = sizeof end + end.faults * sizeof(FaultingAccess);
    if (end.magic != tier2::CodeEnd::kMagic || end.function + tail > code.bytes) return std::nullopt;
    code.bytes -= end.function;
    const std::lock_guard guard(lock_);
    if (jit_ == nullptr) start_linker();
    code.handle = next_handle_++;
    // A library each: every region's function has the same name. And no resource trackers but the libraries'
    // own: one that ends hands over what it has, and LLVM 19 may use freed memory then
    // (ObjectLinkingLayer::handleTransferResources).
    auto library = jit_->createJITDylib("region" + std::to_string(code.handle));
    if (!library) fail(library.takeError());
    llvm::Error added = jit_->addObjectFile(*library, std::move(buffer));
    auto address =
        added ? llvm::Expected<orc::ExecutorAddr>(std::move(added)) : jit_->lookup(*library, "region");
    loaded_.emplace(code.handle, &*library);
    if (!address) {
        llvm::consumeError(address.takeError());
        remove(code.handle);
        return std::nullopt;
    }
    code.entry = address->toPtr<const void*>();
    const auto* faults = static_cast<const uint8_t*>(code.entry) + code.bytes - tail;
    code.faults = {reinterpret_cast<const FaultingAccess*>(faults), end.faults};
    return code;
}

void LlvmRegionCompiler::unload(uint64_t handle) {
    const std::lock_guard guard(lock_);
    remove(handle);
}

/// With the lock held.
void LlvmRegionCompiler::remove(uint64_t handle) {
    const auto it = loaded_.find(handle);
    if (it == loaded_.end()) return;
    if (llvm::Error error = jit_->getExecutionSession().removeJITDylib(*it->second))
        llvm::consumeError(std::move(error));
    loaded_.erase(it);
}

}  // namespace

}  // namespace arclight::jit

/// The module's two symbols, see region_module.cpp.
extern "C" {
[[gnu::visibility("default")]] extern const uint64_t arclight_tier2_interface =
    arclight::jit::kRegionInterface;
[[gnu::visibility("default")]] arclight::jit::RegionCompiler* arclight_tier2_create(bool avx512) {
    return new arclight::jit::LlvmRegionCompiler(avx512);
}
}
