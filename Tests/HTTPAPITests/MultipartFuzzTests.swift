import Fuzzing
import Testing

@testable import HTTPAPI

/// Forms that are nearly right: the same events however they are cut, or the same refusal.
@Suite struct MultipartFuzzTests {
  private static let form = [
    "--b0", #"Content-Disposition: form-data; name="purpose""#, "", "batch", "--b0",
    #"Content-Disposition: form-data; name="file"; filename="a.jsonl""#,
    "Content-Type: application/jsonl", "", "one\r\n--b\r\ntwo\r\n", "--b0--", "",
  ].joined(separator: "\r\n")

  /// The parts' contents; nil when the form is refused.
  private func read(_ bytes: [UInt8], pieces: Int) -> [[UInt8]]? {
    var parser = MultipartParser(boundary: "b0")
    var parts: [[UInt8]] = []
    do {
      for start in stride(from: 0, to: bytes.count, by: pieces) {
        for event in try parser.push(bytes[start..<min(start + pieces, bytes.count)]) {
          switch event {
          case .part: parts.append([])
          case .bytes(let bytes): parts[parts.count - 1] += bytes
          case .partEnd: break
          }
        }
      }
      try parser.finish()
      return parts
    } catch { return nil }
  }

  @Test func mutatedForms() {
    var mutation = Mutation(seed: 3)
    var refused = 0
    for _ in 0..<3000 {
      let bytes = mutation.of(Array(Self.form.utf8))
      let whole = read(bytes, pieces: max(1, bytes.count))
      #expect(read(bytes, pieces: 7) == whole)
      #expect(read(bytes, pieces: 1) == whole)
      if whole == nil { refused += 1 }
    }
    #expect(refused > 300 && refused < 3000, "\(refused)")
  }
}
