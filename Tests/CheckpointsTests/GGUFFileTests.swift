import Checkpoints
import Foundation
import Tensors
import Testing

/// Equality with llama.cpp's own gguf-py (`scripts/goldens/gguf_files.py`), and refusal of what breaks the
/// format.
@Suite struct GGUFFileTests {
  private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "Fixtures")
  private static let path = fixtures.appending(path: "types.gguf").path()
  private static let types = [
    "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
    "Q6_K",
  ]

  @Test(arguments: types) func numbersAreThoseOfTheReference(_ type: String) throws {
    let file = try GGUFFile(path: Self.path)
    let golden = try SafetensorsFile(
      path: Self.fixtures.appending(path: "types.safetensors").path())
    let entry = try #require(file.entries[type])
    let expected = try #require(golden.tensor(type))
    #expect(entry.type.name == type && entry.shape == expected.shape && entry.type.isReadable)
    let all = try file.floats(of: type, 0..<entry.count)
    #expect(all.floats.map(\.bitPattern) == expected.floats.map(\.bitPattern))
    // A piece from the middle is the same piece.
    let size = entry.type.blockCount
    let piece = try file.floats(of: type, size..<2 * size)
    #expect(piece.floats == Array(expected.floats[size..<2 * size]))
    #expect(throws: CheckpointError.self) { try file.floats(of: type, 0..<entry.count + size) }
    if size > 1 {
      #expect(throws: CheckpointError.self) { try file.floats(of: type, 1..<size) }
      #expect(file.tensor(type) == nil)
    } else {
      #expect(try #require(file.tensor(type)).shape == [2, 3, 5])
    }
  }

  @Test func metadataOfAllKinds() throws {
    let file = try GGUFFile(path: Self.path)
    let values = file.metadata
    #expect(file.version == 3)
    #expect(values["general.architecture"]?.text == "test")
    #expect(values["general.alignment"]?.integer == 64)
    let integers = [
      "u8": 255, "i8": -128, "u16": 65535, "i16": -32768, "u32": 1 << 31, "i32": -(1 << 31),
      "i64": Int.min,
    ]
    for (kind, integer) in integers {
      #expect(values["kind." + kind]?.integer == integer, "\(kind)")
    }
    guard case .large(.max) = values["kind.u64"] else { return #expect(Bool(false), "u64") }
    #expect(values["kind.u64"]?.integer == nil)
    #expect(values["kind.f32"]?.float == 0.1)
    guard case .real(0.1) = values["kind.f64"] else { return #expect(Bool(false), "f64") }
    #expect(values["kind.bool"]?.boolean == true)
    #expect(values["kind.text"]?.text == "▁é")
    #expect(values["list.i32"]?.list?.integers == [-1, 0, 7])
    #expect(values["list.f32"]?.list?.floats == [0.5, -0.25])
    #expect(values["list.text"]?.list?.texts == ["", "▁a", "é"].map { Array($0.utf8) })
    #expect(values["list.bool"]?.list?.count == 2)
    #expect(values["list.bool"]?.list?.integers == nil)
    #expect(file.tensor("I32")?.shape == [2, 3])
    #expect(throws: CheckpointError.self) { try file.floats(of: "I32", 0..<6) }
    #expect(throws: CheckpointError.self) { try file.floats(of: "none", 0..<1) }
  }

  @Test func everyCutIsRefused() throws {
    let whole = try Data(contentsOf: URL(filePath: Self.path))
    let folder = try TemporaryFolder()
    for count in stride(from: 0, to: whole.count - 64, by: 37) {
      let path = try folder.write(whole.prefix(count), as: "cut.gguf")
      #expect(throws: CheckpointError.self, "\(count) bytes") { try GGUFFile(path: path) }
    }
  }

  /// A file with one tensor and no metadata but what is given.
  private func file(
    version: UInt32 = 3, tensors: UInt64 = 1, values: UInt64? = nil, metadata: [Data] = [],
    rank: UInt32 = 2, shape: [UInt64] = [32, 1], type: UInt32 = 8, offset: UInt64 = 0,
    dataCount: Int = 34
  ) -> Data {
    var bytes = Data("GGUF".utf8) + Self.raw(version) + Self.raw(tensors)
    bytes += Self.raw(values ?? UInt64(metadata.count))
    for value in metadata { bytes += value }
    bytes += Self.text("t") + Self.raw(rank)
    for extent in shape { bytes += Self.raw(extent) }
    bytes += Self.raw(type) + Self.raw(offset)
    bytes += Data(count: (32 - bytes.count % 32) % 32)
    return bytes + Data(count: dataCount)
  }

  private static func raw(_ value: some FixedWidthInteger) -> Data {
    withUnsafeBytes(of: value.littleEndian) { Data($0) }
  }
  private static func text(_ text: String) -> Data {
    raw(UInt64(text.utf8.count)) + Data(text.utf8)
  }

  @Test func versionsTwoAndThreeAreRead() throws {
    let folder = try TemporaryFolder()
    for version in [UInt32(2), 3] {
      let file = try GGUFFile(path: folder.write(file(version: version), as: "a.gguf"))
      #expect(file.entries["t"]?.shape == [1, 32])
      #expect(try file.floats(of: "t", 0..<32).floats == [Float](repeating: 0, count: 32))
    }
  }

  @Test func liesAreRefused() throws {
    let folder = try TemporaryFolder()
    let (huge, text) = (UInt64.max, Self.text)
    let list = text("l") + Self.raw(UInt32(9))
    let lies: [(String, Data)] = [
      ("version 1", file(version: 1)), ("version 4", file(version: 4)),
      ("big-endian", file(version: 3 << 24)),
      ("tensors", file(tensors: huge)), ("tensors, again", file(tensors: 1 << 40)),
      ("values", file(values: huge)), ("too few tensors", file(tensors: 2)),
      ("dimensions", file(rank: 5, shape: [1, 1, 1, 1, 1])), ("rank", file(rank: .max)),
      ("overflow", file(shape: [1 << 32, 1 << 32])),
      ("overflow by blocks", file(shape: [1 << 62, 1])), ("extent", file(shape: [32, huge])),
      ("half a block", file(shape: [16, 1])), ("type", file(type: 5)),
      ("type, again", file(type: .max)),
      ("offset", file(offset: 32)), ("offset, again", file(offset: huge - 31)),
      ("not aligned", file(offset: 2, dataCount: 99)), ("short", file(dataCount: 33)),
      ("kind", file(metadata: [text("k") + Self.raw(UInt32(13)) + Self.raw(0 as UInt64)])),
      ("truth", file(metadata: [text("k") + Self.raw(UInt32(7)) + Data([2])])),
      ("list of lists", file(metadata: [list + Self.raw(UInt32(9)) + Self.raw(0 as UInt64)])),
      ("long list", file(metadata: [list + Self.raw(UInt32(10)) + Self.raw(huge / 8 + 1)])),
      (
        "long list of texts",
        file(metadata: [list + Self.raw(UInt32(8)) + Self.raw(UInt64(1) << 40)])
      ),
      ("twice", file(metadata: [0, 1].map { text("k") + Self.raw(UInt32(0)) + Data([$0]) })),
      (
        "alignment",
        file(metadata: [text("general.alignment") + Self.raw(UInt32(4)) + Self.raw(UInt32(0))])
      ),
      (
        "alignment, again",
        file(metadata: [text("general.alignment") + Self.raw(UInt32(4)) + Self.raw(UInt32(48))])
      ),
    ]
    for (name, bytes) in lies {
      let path = try folder.write(bytes, as: "lie.gguf")
      let error = #expect(throws: CheckpointError.self, "\(name)") { try GGUFFile(path: path) }
      if case .malformed = error {} else { Issue.record("\(name): \(String(describing: error))") }
    }
  }

  /// A real file of somebody else's, where there is one: PALISADE_GGUF names it, and beside it stands
  /// `NAME.sums`, lines of `name sum` with the sum of all numbers' bits (`gguf_files.py --sums`).
  @Test(.enabled(if: ProcessInfo.processInfo.environment["PALISADE_GGUF"] != nil))
  func aRealFileIsThatOfTheReference() throws {
    let path = try #require(ProcessInfo.processInfo.environment["PALISADE_GGUF"])
    let file = try GGUFFile(path: path)
    let lines = try String(contentsOfFile: path + ".sums", encoding: .utf8).split(separator: "\n")
    #expect(lines.count == file.entries.count)
    for line in lines {
      let words = line.split(separator: " ")
      let entry = try #require(file.entries[String(words[0])])
      var sum: UInt64 = 0
      for first in stride(from: 0, to: entry.count, by: 1 << 20) {
        let range = first..<min(entry.count, first + 1 << 20)
        try file.floats(of: String(words[0]), range).withFloats { floats in
          for index in range.indices {
            sum &+= UInt64(floats[index - first].bitPattern) &* UInt64(index | 1)
          }
        }
      }
      #expect(String(sum) == words[1], "\(line) \(entry.type)")
    }
  }
}
