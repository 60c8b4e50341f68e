#include "jit/llvm/region_compiler.h"

#include <llvm/Analysis/AliasAnalysis.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/PassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/LoopPassManager.h>
#include <llvm/Transforms/Scalar/SROA.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>
#include <llvm/Transforms/Utils/Cloning.h>
#include <llvm/Transforms/Utils/LCSSA.h>
#include <llvm/Transforms/Utils/LoopSimplify.h>

#include <mutex>
#include <system_error>
#include <unordered_map>

#include "jit/llvm/lowering.h"

namespace arclight::jit {

namespace orc = llvm::orc;

struct RegionCompiler::Impl {
    std::unique_ptr<llvm::TargetMachine> target;
    std::unique_ptr<orc::LLJIT> jit;
    llvm::LoopAnalysisManager loops;
    llvm::FunctionAnalysisManager functions;
    llvm::CGSCCAnalysisManager sccs;
    llvm::ModuleAnalysisManager modules;
    llvm::FunctionPassManager passes;
    std::string fingerprint;

    std::mutex lock;
    std::unordered_map<uint64_t, orc::ResourceTrackerSP> loaded;
    uint64_t next_handle = 1;

    Impl();
    void optimise(llvm::Function& f);
};

namespace {
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
        llvm::InitializeNativeTarget();
        llvm::InitializeNativeTargetAsmPrinter();
    });
}
}  // namespace

RegionCompiler::Impl::Impl() {
    initialise_once();
    orc::JITTargetMachineBuilder builder = take(orc::JITTargetMachineBuilder::detectHost());
    builder.setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
    builder.setRelocationModel(llvm::Reloc::PIC_);
    builder.setCodeModel(llvm::CodeModel::Small);
    // Regions use what tier 1 asks for, and no vectors wider than the guest's.
    builder.getFeatures().AddFeature("avx512f", false);
    target = take(builder.createTargetMachine());
    jit = take(orc::LLJITBuilder().setJITTargetMachineBuilder(builder).create());
    fingerprint = builder.getTargetTriple().str() + "/" + builder.getCPU() + "/" +
                  builder.getFeatures().getString() + "/" LLVM_VERSION_STRING;

    llvm::PassBuilder pb(target.get());
    pb.registerModuleAnalyses(modules);
    pb.registerCGSCCAnalyses(sccs);
    pb.registerFunctionAnalyses(functions);
    pb.registerLoopAnalyses(loops);
    pb.crossRegisterProxies(loops, functions, sccs, modules);

    passes.addPass(llvm::SROAPass(llvm::SROAOptions::ModifyCFG));
    passes.addPass(llvm::EarlyCSEPass(true));
    passes.addPass(llvm::InstCombinePass());
    passes.addPass(llvm::SimplifyCFGPass());
    llvm::LoopPassManager loop_passes;
    loop_passes.addPass(llvm::LICMPass(llvm::LICMOptions()));
    passes.addPass(llvm::createFunctionToLoopPassAdaptor(std::move(loop_passes), /*UseMemorySSA=*/true));
    passes.addPass(llvm::EarlyCSEPass(true));
    passes.addPass(llvm::SimplifyCFGPass());
}

void RegionCompiler::Impl::optimise(llvm::Function& f) {
    passes.run(f, functions);
    functions.clear();
    loops.clear();
    sccs.clear();
    modules.clear();
}

RegionCompiler::RegionCompiler() : impl_(std::make_unique<Impl>()) {}
RegionCompiler::~RegionCompiler() = default;

const std::string& RegionCompiler::fingerprint() const { return impl_->fingerprint; }

std::string RegionCompiler::compile(const Region& region, RegionDump* dump) {
    llvm::LLVMContext context;
    llvm::Module module("region", context);
    module.setDataLayout(impl_->target->createDataLayout());
    module.setTargetTriple(impl_->target->getTargetTriple().str());
    tier2::Lowering lowering(module, region);
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
    impl_->optimise(*function);
    if (dump != nullptr) {
        llvm::raw_string_ostream out(dump->llvm);
        module.print(out, nullptr);
    }
    const auto emit = [&](llvm::CodeGenFileType type) {
        llvm::SmallVector<char, 0> bytes;
        llvm::raw_svector_ostream out(bytes);
        llvm::legacy::PassManager codegen;
        if (impl_->target->addPassesToEmitFile(codegen, out, nullptr, type))
            throw std::runtime_error("LLVM has no code generator for this host");
        codegen.run(module);
        return std::string(bytes.begin(), bytes.end());
    };
    if (dump != nullptr) {
        const std::unique_ptr<llvm::Module> copy = llvm::CloneModule(module);
        llvm::SmallVector<char, 0> bytes;
        llvm::raw_svector_ostream out(bytes);
        llvm::legacy::PassManager codegen;
        if (!impl_->target->addPassesToEmitFile(codegen, out, nullptr, llvm::CodeGenFileType::AssemblyFile))
            codegen.run(*copy);
        dump->assembly.assign(bytes.begin(), bytes.end());
    }
    return emit(llvm::CodeGenFileType::ObjectFile);
}

std::optional<RegionCode> RegionCompiler::load(const std::string& object) {
    auto buffer = llvm::MemoryBuffer::getMemBufferCopy(object, "region");
    RegionCode code;
    auto file = llvm::object::ObjectFile::createObjectFile(buffer->getMemBufferRef());
    if (!file) {
        llvm::consumeError(file.takeError());
        return std::nullopt;
    }
    for (const auto& section : (*file)->sections())
        if (section.isText()) code.bytes += section.getSize();
    const std::lock_guard guard(impl_->lock);
    code.handle = impl_->next_handle++;
    // A library each: every region's function has the same name.
    auto library = impl_->jit->createJITDylib("region" + std::to_string(code.handle));
    if (!library) fail(library.takeError());
    orc::ResourceTrackerSP tracker = library->createResourceTracker();
    if (llvm::Error error = impl_->jit->addObjectFile(tracker, std::move(buffer))) fail(std::move(error));
    auto address = impl_->jit->lookup(*library, "region");
    if (!address) {
        llvm::consumeError(address.takeError());
        return std::nullopt;
    }
    code.entry = address->toPtr<const void*>();
    impl_->loaded.emplace(code.handle, std::move(tracker));
    return code;
}

void RegionCompiler::unload(uint64_t handle) {
    const std::lock_guard guard(impl_->lock);
    const auto it = impl_->loaded.find(handle);
    if (it == impl_->loaded.end()) return;
    orc::JITDylib& library = it->second->getJITDylib();
    if (llvm::Error error = it->second->remove()) llvm::consumeError(std::move(error));
    impl_->loaded.erase(it);
    if (llvm::Error error = impl_->jit->getExecutionSession().removeJITDylib(library))
        llvm::consumeError(std::move(error));
}

}  // namespace arclight::jit
