import Foundation
import Synchronization
import Tensors

/// Weights on disk in the Hugging Face layout: `model.safetensors`, or several files with
/// `model.safetensors.index.json`. Files are mapped when a tensor of theirs is first asked for, so
/// that a stage touches only what it computes with. Nothing in the folder is executed.
public final class Checkpoint: Sendable {
  /// The folder.
  public let directory: String
  /// Which file holds which tensor.
  public let fileOfTensor: [String: String]
  private let opened = Mutex<[String: SafetensorsFile]>([:])
  private let readers = Mutex<[String: FileReader]>([:])
  /// Tensors that are in memory, and what the header of their file would say.
  private let held: (tensors: [String: Tensor], metadata: [String: String])?

  /// A checkpoint in memory, of weights that no file holds; `metadata` is what the header of a file
  /// would say.
  public init(tensors: [String: Tensor], metadata: [String: String] = [:]) {
    directory = "memory"
    fileOfTensor = tensors.mapValues { _ in "memory" }
    held = (tensors, metadata)
  }

  /// Opens the checkpoint in `directory`.
  public init(directory: String) throws(CheckpointError) {
    self.directory = directory
    held = nil
    let single = directory + "/model.safetensors"
    let index = directory + "/model.safetensors.index.json"
    // The single file first, as the reference looks for them.
    if !FileManager.default.fileExists(atPath: single),
      FileManager.default.fileExists(atPath: index)
    {
      fileOfTensor = try Self.readIndex(index)
    } else {
      let file = try SafetensorsFile(path: single)
      fileOfTensor = file.entries.mapValues { _ in "model.safetensors" }
      opened.withLock { $0["model.safetensors"] = file }
    }
  }

  /// The checkpoint of these tensors in these files of `directory`.
  init(directory: String, fileOfTensor: [String: String]) {
    self.directory = directory
    self.fileOfTensor = fileOfTensor
    held = nil
  }

  private static func readIndex(_ path: String) throws(CheckpointError) -> [String: String] {
    let data: Data
    do { data = try Data(contentsOf: URL(filePath: path)) } catch {
      throw .unreadable(path: path, reason: error.localizedDescription)
    }
    guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
      let map = object["weight_map"] as? [String: String]
    else { throw .malformed(path: path, reason: "no 'weight_map' of tensor names to file names") }
    // A file name from an index is input: it must stay inside the folder.
    for file in map.values where file.contains("/") || !file.hasSuffix(".safetensors") {
      throw .malformed(path: path, reason: "'\(file)' is not the name of a safetensors file")
    }
    return map
  }

  /// All tensor names, sorted.
  public var names: [String] { fileOfTensor.keys.sorted() }

  /// Whether there is a tensor of that name.
  public func contains(_ name: String) -> Bool { fileOfTensor[name] != nil }

  /// The tensor `name` over mapped memory; pages are read when first touched.
  public func tensor(_ name: String) throws(CheckpointError) -> Tensor {
    if let tensor = held?.tensors[name] { return tensor }
    guard let fileName = fileOfTensor[name], let tensor = try file(fileName).tensor(name) else {
      throw .missingTensor(name: name, directory: directory)
    }
    return tensor
  }

  /// Some bytes of tensor `name`, read from its file and not through a mapping: for others, who are not
  /// to suffer when somebody cuts the file off.
  ///
  /// - Parameters:
  ///   - name: of the tensor.
  ///   - range: within the tensor's data.
  /// - Returns: memory of their own.
  /// - Throws: `changed` when the file isn't what it was when it was opened.
  public func bytes(of name: String, _ range: Range<Int>) throws(CheckpointError) -> TensorStorage {
    let entry = try entry(name)
    guard let fileName = fileOfTensor[name], range.lowerBound >= 0,
      range.upperBound <= entry.byteCount
    else { throw .missingTensor(name: name, directory: directory) }
    let start = entry.byteOffset
    return try reader(fileName).read(start + range.lowerBound..<start + range.upperBound)
  }

  private func reader(_ name: String) throws(CheckpointError) -> FileReader {
    if let reader = readers.withLock({ $0[name] }) { return reader }
    let file = try file(name)
    let reader = try FileReader(path: file.path, identity: file.identity)
    readers.withLock { $0[name] = reader }
    return reader
  }

  /// Where tensor `name` stands, without touching its data.
  public func entry(_ name: String) throws(CheckpointError) -> SafetensorsFile.Entry {
    guard let fileName = fileOfTensor[name], let entry = try file(fileName).entries[name] else {
      throw .missingTensor(name: name, directory: directory)
    }
    return entry
  }

  /// The free-form text in the header of the first file, in the order of names.
  public func metadata() throws(CheckpointError) -> [String: String] {
    if let held { return held.metadata }
    guard let first = fileOfTensor.values.min() else { return [:] }
    return try file(first).metadata
  }

  private func file(_ name: String) throws(CheckpointError) -> SafetensorsFile {
    if let file = opened.withLock({ $0[name] }) { return file }
    let file = try SafetensorsFile(path: directory + "/" + name)
    opened.withLock { $0[name] = file }
    return file
  }
}
