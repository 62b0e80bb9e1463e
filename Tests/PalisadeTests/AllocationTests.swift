import Foundation
import Testing

/// What a steady state takes from the heap: the difference of a batch with long answers and one with short ones.
@Suite struct AllocationTests {
  /// Allocations of a batch of `requests` answers of `tokens` tokens each.
  private func allocations(
    tokens: Int, requests: Int, folder: URL, library: String
  ) async throws -> (all: Int, aligned: Int) {
    let names = try FileManager.default.contentsOfDirectory(atPath: Program.demo + "/images")
      .sorted()
    let lines = (0..<requests).map {
      #"{"custom_id": "r\#($0)", "image": "\#(Program.demo)/images/\#(names[$0])", "#
        + #""prompt": "caption en", "max_tokens": \#(tokens)}"#
    }
    let input = folder.appending(path: "in-\(tokens).jsonl").path()
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: input))
    let ran = try await Program.run(
      [
        "batch", input, "--output", folder.appending(path: "out-\(tokens).jsonl").path(), "--model",
        folder.appending(path: "model").path(), "--precision", "int8", "--threads", "1",
      ], environment: ["LD_PRELOAD": library])
    try #require(ran.status == 0, "\(ran.errors)")
    let words = try #require(
      ran.errors.split(separator: "\n").last { $0.hasPrefix("allocations ") }
    )
    .split(separator: " ")
    return (try #require(Int(words[1])), try #require(Int(words[3])))
  }

  @Test func stepsTakeLittleFromTheHeapAndNoTensors() async throws {
    let folder = try Program.temporaryFolder()
    // Answers of random weights end where they must.
    let made = try await Program.run([
      "checkpoint", "synthesize", "--preset", "demo", "--output",
      folder.appending(path: "model").path(), "--tokenizer", Program.model,
    ])
    try #require(made.status == 0, "\(made.errors)")
    let library = try Program.library("count_allocations.c")
    let (requests, short, long) = (4, 20, 100)
    let few = try await allocations(
      tokens: short, requests: requests, folder: folder, library: library)
    let many = try await allocations(
      tokens: long, requests: requests, folder: folder, library: library)
    let tokens = requests * (long - short)
    print(
      "allocations: \(Double(many.all - few.all) / Double(tokens)) a token, "
        + "\(many.aligned - few.aligned) of tensors in \(tokens) tokens")
    #expect(many.all - few.all > tokens, "nothing was counted")
    // 74 in a debug build (10 in a release build), the batch's own work included.
    #expect(many.all - few.all < 100 * tokens)
    #expect(many.aligned - few.aligned < tokens / 10)
  }
}
