import Foundation
import Pipelining
import Testing

@testable import Tensors
@testable import palisade

/// What doctor says of machines that are not this one.
@Suite struct DoctorTests {
  private func core(
    _ name: String, detected: String? = nil, isFromUser: Bool = false, better: String? = nil
  ) -> Kernels.BLASCore {
    Kernels.BLASCore(
      name: name, detected: detected ?? name, isFromUser: isFromUser, better: better, version: "")
  }

  @Test func coreTypes() {
    let fine = DoctorChecks.blasCore(core("SkylakeX"), userValue: nil)
    #expect(fine.status == .ok && fine.remedy == nil)
    let corrected = DoctorChecks.blasCore(
      core("SkylakeX", detected: "Prescott"), userValue: nil)
    #expect(corrected.status == .ok && corrected.value.contains("detected Prescott"))
    let slow = DoctorChecks.blasCore(
      core("Prescott", isFromUser: true, better: "SkylakeX"), userValue: "Prescott")
    #expect(slow.status == .warn && slow.remedy?.contains("SkylakeX") == true)
    let refused = DoctorChecks.blasCore(core("Haswell", isFromUser: true), userValue: "Nonsense")
    #expect(refused.status == .warn && refused.value.contains("Nonsense"))
    let asked = DoctorChecks.blasCore(core("Haswell", isFromUser: true), userValue: "haswell")
    #expect(asked.status == .ok)
  }

  @Test func wrongResultsFail() {
    #expect(DoctorChecks.blasSelfTest(1e-7).status == .ok)
    #expect(DoctorChecks.blasSelfTest(1e-3).status == .fail)
    #expect(DoctorChecks.blasSelfTest(.nan).status == .fail)
  }

  @Test func slowProductsAreWarnedOf() {
    #expect(DoctorChecks.blasSpeed(140, best: "avx512", core: core("SkylakeX")).status == .ok)
    let slow = DoctorChecks.blasSpeed(
      32, best: "avx512", core: core("Prescott", better: "SkylakeX"))
    #expect(slow.status == .warn && slow.remedy?.contains("SkylakeX") == true)
    #expect(DoctorChecks.blasSpeed(2, best: "portable", core: core("ARMV8")).status == .ok)
  }

  @Test func forcedKernels() {
    let all = ["avx2", "portable", "scalar"]
    #expect(DoctorChecks.kernels(using: "avx2", available: all, wanted: nil).status == .ok)
    #expect(DoctorChecks.kernels(using: "avx2", available: all, wanted: "avx2").status == .ok)
    #expect(
      DoctorChecks.kernels(using: "portable", available: all, wanted: "portable").status == .warn)
    let unknown = DoctorChecks.kernels(using: "avx2", available: all, wanted: "avx512")
    #expect(unknown.status == .warn && unknown.value.contains("avx512"))
  }

  @Test func limitsOfTheSystem() {
    #expect(DoctorChecks.openFiles(1023).status == .warn)
    #expect(DoctorChecks.openFiles(1024).status == .ok)
    #expect(DoctorChecks.loopback("refused").status == .fail)
    #expect(DoctorChecks.hugePages("never").status == .warn)
    #expect(DoctorChecks.hugePages("madvise").status == .ok)
    let memory = MachineFacts.Memory(
      total: 8 << 30, available: 4 << 30, limit: 256 << 20)
    #expect(DoctorChecks.memory(memory).status == .warn)
    let folder = DoctorChecks.folder("x", "/nonexistent", .fail, remedy: "make it")
    #expect(folder.status == .fail && folder.remedy == "make it")
  }

  @Test func thisMachineIsReadable() {
    #expect(MachineFacts.memory.map { $0.total >= $0.available } == true)
    #expect(HostFacts.openFileLimit.map { $0 > 0 } == true)
    #expect(HostFacts.loopbackFailure() == nil)
    #expect(MachineFacts.cpuModel != "unknown")
    #expect(HostFacts.loadedLibrary("libzmq")?.contains("/libzmq.so") == true)
    #expect(HostFacts.loadedLibrary("libnonexistent") == nil)
    let checks = DoctorChecks.versions() + DoctorChecks.memory() + DoctorChecks.system()
    #expect(Set(checks.map(\.name)).count == checks.count)
    #expect(checks.allSatisfy { ($0.status == .ok) == ($0.remedy == nil) })
  }
}
