import Checkpoints
import Foundation
import Tensors
import Testing

/// Safetensors files are input: a good one is read exactly, a bad one is an error.
@Suite struct SafetensorsFileTests {
  static let twoTensors = """
    {"__metadata__":{"format":"pt"},
    "a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},
    "b":{"dtype":"I8","shape":[3],"data_offsets":[16,19]}}
    """
  static var sound: Data {
    let floats: [Float] = [1, -2, 3.5, 1e-30]
    return safetensors(
      header: twoTensors, data: floats.withUnsafeBytes { Data($0) } + Data([255, 0, 127]))
  }

  @Test func readsWhatIsThere() throws {
    let folder = try TemporaryFolder()
    let file = try SafetensorsFile(path: folder.write(Self.sound, as: "x.safetensors"))
    #expect(file.entries.keys.sorted() == ["a", "b"])
    #expect(file.metadata == ["format": "pt"])
    let a = try #require(file.tensor("a"))
    #expect(a.shape == [2, 2])
    #expect(a.convertedToF32()?.floats == [1, -2, 3.5, 1e-30])
    let b = try #require(file.tensor("b"))
    #expect(b.elementType == .i8)
    #expect(b.withBytes { Array($0) } == [255, 0, 127])
    #expect(file.tensor("c") == nil)
  }

  /// Every way in which a header can lie, one each.
  static let lies: [(String, Data)] = [
    ("empty", Data()),
    ("seven bytes", Data(repeating: 0, count: 7)),
    ("header longer than the file", safetensors(header: "{}", headerLength: 3)),
    ("header length of 2^64 - 1", safetensors(header: "{}", headerLength: .max)),
    ("header length of 2^63", safetensors(header: "{}", headerLength: 1 << 63)),
    ("no JSON", safetensors(header: "{nonsense")),
    ("JSON, but no object", safetensors(header: "[1]")),
    ("invalid UTF-8", Data([1, 0, 0, 0, 0, 0, 0, 0, 0xFF])),
    ("an entry that is no object", safetensors(header: #"{"a":1}"#)),
    ("no dtype", entry(#""shape":[1],"data_offsets":[0,4]"#)),
    ("no shape", entry(#""dtype":"F32","data_offsets":[0,4]"#)),
    ("no offsets", entry(#""dtype":"F32","shape":[1]"#)),
    ("unknown dtype", entry(#""dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]"#)),
    ("dtype of another type", entry(#""dtype":1,"shape":[1],"data_offsets":[0,4]"#)),
    ("one offset", entry(#""dtype":"F32","shape":[1],"data_offsets":[0]"#)),
    ("three offsets", entry(#""dtype":"F32","shape":[1],"data_offsets":[0,4,8]"#)),
    ("offsets in reverse", entry(#""dtype":"F32","shape":[1],"data_offsets":[4,0]"#)),
    ("negative offset", entry(#""dtype":"F32","shape":[1],"data_offsets":[-4,0]"#)),
    ("past the end", entry(#""dtype":"F32","shape":[2],"data_offsets":[1,9]"#)),
    (
      "offsets at the top of Int",
      entry(
        #""dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]"#)
    ),
    (
      "offsets whose difference overflows",
      entry(#""dtype":"U8","shape":[1],"data_offsets":[-9223372036854775808,9223372036854775807]"#)
    ),
    (
      "offset beyond Int",
      entry(#""dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551616]"#)
    ),
    ("fewer bytes than the shape", entry(#""dtype":"F32","shape":[2],"data_offsets":[0,4]"#)),
    ("more bytes than the shape", entry(#""dtype":"F32","shape":[1],"data_offsets":[0,8]"#)),
    (
      "a shape whose product overflows",
      entry(#""dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]"#)
    ),
    ("a negative extent", entry(#""dtype":"F32","shape":[-1],"data_offsets":[0,4]"#)),
    ("two negative extents", entry(#""dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]"#)),
    ("a fraction of an extent", entry(#""dtype":"F32","shape":[1.5],"data_offsets":[0,6]"#)),
    ("nine dimensions", entry(#""dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]"#)),
  ]

  private static func entry(_ fields: String) -> Data {
    safetensors(header: "{\"a\":{\(fields)}}", data: Data(repeating: 0, count: 8))
  }

  @Test(arguments: lies.indices) func refusesLies(_ index: Int) throws {
    let (what, bytes) = Self.lies[index]
    let folder = try TemporaryFolder()
    let path = try folder.write(bytes, as: "x.safetensors")
    let error = #expect(throws: CheckpointError.self, "\(what)") {
      try SafetensorsFile(path: path)
    }
    // The message names the file and says what to do.
    let message = error?.description ?? ""
    #expect(message.contains(path) && message.contains("copy or download it again"), "\(message)")
  }

  @Test func refusesFoldersAndMissingFiles() throws {
    let folder = try TemporaryFolder()
    for path in [folder.path, folder.path + "/none", folder.path + "/none/none"] {
      #expect(throws: CheckpointError.self) { try SafetensorsFile(path: path) }
    }
  }

  @Test func everyTruncationIsAnError() throws {
    let folder = try TemporaryFolder()
    for count in 0..<Self.sound.count {
      let path = try folder.write(Data(Self.sound.prefix(count)), as: "x.safetensors")
      #expect(throws: CheckpointError.self, "\(count) bytes") { try SafetensorsFile(path: path) }
    }
  }

  @Test func flippedBytesAreErrorsOrValues() throws {
    let folder = try TemporaryFolder()
    var random = Seeded(41)
    var refused = 0
    for _ in 0..<4000 {
      var bytes = Self.sound
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let index = Int.random(in: 0..<bytes.count, using: &random)
        bytes[index] = UInt8.random(in: 0...255, using: &random)
      }
      let path = try folder.write(bytes, as: "x.safetensors")
      do {
        let file = try SafetensorsFile(path: path)
        for (name, entry) in file.entries {
          #expect(entry.byteOffset + entry.byteCount <= bytes.count)
          let tensor = try #require(file.tensor(name))
          // Every byte can be touched.
          _ = tensor.withBytes { $0.reduce(0) { $0 &+ Int($1) } }
        }
      } catch is CheckpointError { refused += 1 }
    }
    #expect(refused > 1000 && refused < 4000, "\(refused) of 4000 refused")
  }
}
