import Tensors
import Testing

/// What `palisade doctor` is told of the machine.
@Suite struct KernelsTests {
  @Test func theChoiceIsOneOfTheAvailable() {
    #expect(Kernels.availableInstructionSets.last == "scalar")
    #expect(Kernels.availableInstructionSets.contains(Kernels.instructionSet))
  }

  @Test func openBLASIsSoundHere() {
    #expect(!Kernels.blasCore.name.isEmpty)
    #expect(Kernels.blasCore.version.contains("OpenBLAS"))
    #expect(Kernels.blasSelfTest() < 1e-5)
    // Unless the user asked for another, the core type suits the CPU.
    #expect(Kernels.blasCore.isFromUser || Kernels.blasCore.better == nil)
  }

  @Test func speedIsMeasured() {
    let speed = Kernels.productSpeed(rows: 64, inputs: 256, outputs: 256, repetitions: 3)
    #expect(speed > 0.1 && speed < 10_000)
  }
}
