import Checkpoints
import Foundation
import Tensors
import Testing

/// What is written is what is read; a half-written file has no name.
@Suite struct SafetensorsWriterTests {
  private static let plans = [
    SafetensorsWriter.Plan(name: "second", elementType: .f32, shape: [2, 3]),
    SafetensorsWriter.Plan(name: "first \"quoted\" ä", elementType: .bf16, shape: [5]),
    SafetensorsWriter.Plan(name: "none", elementType: .i64, shape: [0, 4]),
    SafetensorsWriter.Plan(name: "scalar", elementType: .u8, shape: []),
  ]

  @Test func roundTrip() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/w.safetensors"
    var random = Seeded(3)
    let parts = Self.plans.map { plan in
      let count = plan.shape.reduce(plan.elementType.byteCount, *)
      return Data((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
    }
    let writer = try SafetensorsWriter(
      path: path, tensors: Self.plans, metadata: ["format": "pt"])
    // In pieces that respect no border.
    let all = parts.reduce(Data(), +)
    for start in stride(from: 0, to: all.count, by: 7) {
      try writer.append(all[start..<min(start + 7, all.count)])
    }
    #expect(!FileManager.default.fileExists(atPath: path))
    try writer.finish()
    let file = try SafetensorsFile(path: path)
    #expect(file.entries.count == Self.plans.count)
    #expect(file.metadata == ["format": "pt"])
    for (plan, bytes) in zip(Self.plans, parts) {
      let tensor = try #require(file.tensor(plan.name))
      #expect(tensor.shape == plan.shape)
      #expect(tensor.elementType == plan.elementType)
      #expect(tensor.withBytes { Data($0) } == bytes)
    }
    #expect(try #require(file.entries["second"]).byteOffset % 64 == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["w.safetensors"])
  }

  @Test func tooManyAndTooFewBytesAreErrors() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/w.safetensors"
    let plan = SafetensorsWriter.Plan(name: "a", elementType: .u8, shape: [4])
    let writer = try SafetensorsWriter(path: path, tensors: [plan])
    #expect(throws: CheckpointError.self) { try writer.append(Data(count: 5)) }
    try writer.append(Data(count: 3))
    #expect(throws: CheckpointError.self) { try writer.finish() }
    #expect(!FileManager.default.fileExists(atPath: path))
    try writer.append(Data(count: 1))
    try writer.finish()
    #expect(try SafetensorsFile(path: path).tensor("a")?.count == 4)
  }

  @Test func anUnwritablePlaceIsAnError() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/none/w.safetensors"
    #expect(throws: CheckpointError.self) { try SafetensorsWriter(path: path, tensors: []) }
  }
}
