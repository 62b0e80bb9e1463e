import Foundation
import Testing

/// `palisade eval` as a user runs it.
@Suite struct EvalCommandTests {
  private static let references = """
    {"custom_id": "1", "image": "a.png", "prompt": "count cats", "references": 2}
    {"custom_id": "2", "image": "a.png", "prompt": "count dogs", "references": 1}

    """

  @Test func answersOfAFileAreScored() async throws {
    let folder = try Program.temporaryFolder()
    let references = folder.appending(path: "refs.jsonl").path()
    let answers = folder.appending(path: "out.jsonl").path()
    let output = folder.appending(path: "scores.json").path()
    try Data(Self.references.utf8).write(to: URL(filePath: references))
    try Data(#"{"custom_id": "1", "text": "2"}"#.utf8).write(to: URL(filePath: answers))
    let result = try await Program.run([
      "eval", references, "--score", "count", "--answers", answers, "--output", output,
    ])
    #expect(result.status == 2, "\(result.errors)")
    #expect(result.output.contains("count      2  exact                0.5000                 1"))
    #expect(result.errors.contains("1 lines have no result and are counted as wrong"))
    let json = try String(contentsOfFile: output, encoding: .utf8)
    #expect(json.contains(#""metrics":{"exact":0.5,"mean absolute error":0.0}"#))
  }

  @Test func wrongReferencesEndItBeforeAModelIsLoaded() async throws {
    let folder = try Program.temporaryFolder()
    let references = folder.appending(path: "refs.jsonl").path()
    try Data(Self.references.utf8).write(to: URL(filePath: references))
    let result = try await Program.run([
      "eval", references, "--score", "detect", "--model", "/nowhere",
    ])
    #expect(result.status == 1)
    #expect(result.errors.contains("invalid_references"), "\(result.errors)")
    #expect(result.errors.contains("2 wrong lines"), "\(result.errors)")
    let usage = try await Program.run(["eval", references])
    #expect(usage.status == 64 && usage.errors.contains("give one of --answers FILE"))
  }
}
