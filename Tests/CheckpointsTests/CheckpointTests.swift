import Checkpoints
import Foundation
import Tensors
import Testing

/// Folders: one file, several with an index, and indices that lie.
@Suite struct CheckpointTests {
  private static let one = #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#

  @Test func readsShards() throws {
    let folder = try TemporaryFolder()
    try folder.write(safetensors(header: Self.one, data: Data([1, 2])), as: "p.safetensors")
    let other = Self.one.replacingOccurrences(of: "\"a\"", with: "\"b\"")
    try folder.write(safetensors(header: other, data: Data([3, 4])), as: "q.safetensors")
    try folder.write(
      #"{"weight_map":{"a":"p.safetensors","b":"q.safetensors"}}"#,
      as: "model.safetensors.index.json")
    let checkpoint = try Checkpoint(directory: folder.path)
    #expect(checkpoint.names == ["a", "b"])
    #expect(try checkpoint.tensor("b").withBytes { Array($0) } == [3, 4])
    #expect(try checkpoint.entry("a").shape == [2])
    #expect(!checkpoint.contains("c"))
    #expect(throws: CheckpointError.missingTensor(name: "c", directory: folder.path)) {
      try checkpoint.tensor("c")
    }
  }

  @Test func opensOnlyTheFilesThatAreAskedFor() throws {
    let folder = try TemporaryFolder()
    try folder.write(safetensors(header: Self.one, data: Data([1, 2])), as: "p.safetensors")
    try folder.write(
      #"{"weight_map":{"a":"p.safetensors","b":"absent.safetensors"}}"#,
      as: "model.safetensors.index.json")
    let checkpoint = try Checkpoint(directory: folder.path)
    #expect(try checkpoint.tensor("a").count == 2)
    #expect(throws: CheckpointError.self) { try checkpoint.tensor("b") }
  }

  @Test func anIndexMayNameATensorThatItsFileLacks() throws {
    let folder = try TemporaryFolder()
    try folder.write(safetensors(header: Self.one, data: Data([1, 2])), as: "p.safetensors")
    try folder.write(
      #"{"weight_map":{"z":"p.safetensors"}}"#, as: "model.safetensors.index.json")
    let checkpoint = try Checkpoint(directory: folder.path)
    #expect(throws: CheckpointError.missingTensor(name: "z", directory: folder.path)) {
      try checkpoint.entry("z")
    }
  }

  @Test(arguments: [
    "../p.safetensors", "/etc/passwd", "/tmp/p.safetensors", "sub/p.safetensors", "..", "",
    "p.bin", "../../x/p.safetensors",
  ]) func indexStaysInTheFolder(_ file: String) throws {
    let folder = try TemporaryFolder()
    try folder.write(
      "{\"weight_map\":{\"a\":\"\(file)\"}}", as: "model.safetensors.index.json")
    let error = #expect(throws: CheckpointError.self) { try Checkpoint(directory: folder.path) }
    #expect(error?.description.contains("is not the name of a safetensors file") == true)
  }

  @Test(arguments: ["", "{}", "[]", "{\"weight_map\":[]}", "{\"weight_map\":{\"a\":1}}", "{"])
  func brokenIndexIsAnError(_ text: String) throws {
    let folder = try TemporaryFolder()
    try folder.write(text, as: "model.safetensors.index.json")
    #expect(throws: CheckpointError.self) { try Checkpoint(directory: folder.path) }
  }

  @Test func emptyFolderIsAnErrorThatNamesTheFile() throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: CheckpointError.self) { try Checkpoint(directory: folder.path) }
    #expect(error?.description.contains(folder.path + "/model.safetensors") == true)
    #expect(error?.description.contains("--model") == true)
  }
}
