import Foundation
import Imaging
import Testing

/// What `scripts/goldens/imaging.py` wrote.
struct DecodingCase: Decodable, CustomTestStringConvertible {
  let name: String
  let width: Int
  let height: Int
  let hash: String
  let start: [UInt8]
  let bytes: Data
  let acceptedCuts: [Int]?
  var testDescription: String { name }

  static let all: [DecodingCase] = load("decoding")

  static func named(_ name: String) throws -> DecodingCase {
    try #require(all.first { $0.name == name })
  }
}

struct ResizingCase: Decodable, CustomTestStringConvertible {
  let from: [Int]
  let to: [Int]
  let seed: UInt64
  let isHard: Bool
  let hash: String
  let start: [UInt8]
  var testDescription: String { "\(from) to \(to)" }

  static let all: [ResizingCase] = load("resizing")
}

struct MaskCase: Decodable, CustomTestStringConvertible {
  let kind: String
  let width: Int
  let height: Int
  let seed: UInt64
  let counts: String
  let area: Int
  let other: String
  let iou: Double
  var testDescription: String { "\(kind) \(width) x \(height), seed \(seed)" }

  static let all: [MaskCase] = load("masks")

  /// `[height, width]`, as `masks.py` makes them.
  var bits: [Bool] {
    var generator = SplitMix64(state: seed)
    func draw() -> Int { Int(generator.next() >> 56) }
    switch kind {
    case "empty": return [Bool](repeating: false, count: width * height)
    case "full": return [Bool](repeating: true, count: width * height)
    case "noise": return (0..<(width * height)).map { _ in draw() > 127 }
    default: break
    }
    let discs = (0..<4).map { _ in
      let (middleX, middleY) = (draw() * width, draw() * height)
      let radius = draw() * min(width, height) / 2
      return (x: middleX, y: middleY, square: radius * radius)
    }
    return (0..<height).flatMap { y in
      (0..<width).map { x in
        discs.contains { disc in
          let (dx, dy) = (x * 256 - disc.x, y * 256 - disc.y)
          return dx * dx + dy * dy < disc.square
        }
      }
    }
  }
}

/// What `scripts/goldens/mask_decoder.py` wrote: scores resized with Pillow, and cut at 0.
struct ScoreCase: Decodable, CustomTestStringConvertible {
  let scores: [Int]
  let box: [Int]
  let size: [Int]
  let seed: UInt64
  let counts: String
  var testDescription: String { "\(scores) in \(box) of \(size)" }

  static let all: [ScoreCase] = load("scores")

  func mask() throws -> RunLengthMask {
    var generator = SplitMix64(state: seed)
    let values = (0..<(scores[0] * scores[1])).map { _ in
      (Float(generator.next() >> 56) - 127.5) / 128
    }
    return try RunLengthMask(
      scores: values, scoreWidth: scores[0], scoreHeight: scores[1], left: box[0], top: box[1],
      right: box[2], bottom: box[3], width: size[0], height: size[1])
  }
}

private struct Goldens<Case: Decodable>: Decodable {
  let cases: [Case]
}

/// An unreadable file gives no cases, which `DecodingTests.goldensAreThere` turns into a failure.
private func load<Case: Decodable>(_ name: String) -> [Case] {
  let url = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "Fixtures/\(name).json")
  guard let data = try? Data(contentsOf: url),
    let goldens = try? JSONDecoder().decode(Goldens<Case>.self, from: data)
  else { return [] }
  return goldens.cases
}

/// FNV-1a, 64 bits, as the golden script computes it.
func hash(_ bytes: [UInt8]) -> String {
  var value: UInt64 = 0xcbf2_9ce4_8422_2325
  for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}

/// SplitMix64: `pixels` of the golden script, and the tests' only source of chance.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
