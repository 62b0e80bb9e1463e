import Checkpoints
import Foundation
import Tensors

/// Writes a checkpoint of random weights in a model's true shapes, streamed to disk, so that
/// anyone can measure the full size without having the weights.
///
/// Each number is a function of seed, tensor name and index: the same bytes on every machine.
public struct CheckpointSynthesis: Sendable {
  /// The largest file written, as Hugging Face's own writer cuts them.
  public static let fileByteCountMaximum = 5_000_000_000
  /// Elements made at a time: 16 MB of f32, and what is stored of them.
  static let pieceCount = 1 << 22

  /// The shape, with the tokenizer's numbers where one was given.
  public let config: ModelConfig
  /// How the weights are stored: f32, bf16 or f16.
  public let elementType: ElementType
  /// What the numbers are drawn from.
  public let seed: UInt64
  let tokenizer: String?
  let fileByteCountMaximum: Int

  /// Plans a checkpoint; nothing is written.
  ///
  /// - Parameters:
  ///   - config: the shape.
  ///   - elementType: how the weights are stored: f32, bf16 or f16.
  ///   - seed: other seeds give other weights.
  ///   - tokenizer: a folder whose tokenizer files are copied and whose `config.json` gives the
  ///     token numbers; the table grows to hold its vocabulary.
  ///   - fileByteCountMaximum: where to cut into several files; a tensor is never cut.
  /// - Throws: when the element type is none for weights, or the tokenizer's folder has no
  ///   tokenizer or no sound `config.json`.
  public init(
    config: ModelConfig, elementType: ElementType = .bf16, seed: UInt64 = 0,
    tokenizer: String? = nil, fileByteCountMaximum: Int = Self.fileByteCountMaximum
  ) throws(SynthesisError) {
    guard [.f32, .bf16, .f16].contains(elementType) else {
      throw .elementType("\(elementType)")
    }
    var config = config
    if let tokenizer {
      guard FileManager.default.fileExists(atPath: tokenizer + "/tokenizer.model") else {
        throw .noTokenizer(directory: tokenizer)
      }
      let source: ModelConfig
      do { source = try ModelConfig(directory: tokenizer) } catch { throw .model(error) }
      config.text.vocabularyCount = max(
        config.text.vocabularyCount, source.text.vocabularyCount)
      config.imageTokenID = source.imageTokenID
      config.endTokenIDs = source.endTokenIDs
      config.beginTokenID = source.beginTokenID
      config.paddingTokenID = source.paddingTokenID
    }
    if let rule = config.brokenRule {
      throw .model(.configuration(path: "the shape to synthesize", reason: rule))
    }
    self.config = config
    self.elementType = elementType
    self.seed = seed
    self.tokenizer = tokenizer
    self.fileByteCountMaximum = max(1, fileByteCountMaximum)
  }

  /// Parameters of the whole model.
  public var parameterCount: Int { config.weights.reduce(0) { $0 + $1.count } }
  /// Bytes of all weights on disk.
  public var byteCount: Int { parameterCount * elementType.byteCount }

  /// The weights of each file, in order.
  var files: [[ModelWeight]] {
    var files: [[ModelWeight]] = [[]]
    var room = fileByteCountMaximum
    for weight in config.weights {
      let byteCount = weight.count * elementType.byteCount
      if byteCount > room, !files[files.count - 1].isEmpty {
        files.append([])
        room = fileByteCountMaximum
      }
      files[files.count - 1].append(weight)
      room -= byteCount
    }
    return files
  }

  /// Writes the checkpoint into `directory`, which is made when it is missing.
  ///
  /// On failure what was written is removed.
  ///
  /// - Parameters:
  ///   - directory: holds no checkpoint yet.
  ///   - progress: told the bytes of weights written so far, some times a second.
  /// - Throws: when the folder has a checkpoint or too little room, or writing fails.
  public func write(to directory: String, progress: (_ byteCount: Int) -> Void = { _ in })
    throws(SynthesisError)
  {
    var folder = try CheckpointFolder(directory: directory, neededByteCount: byteCount)
    do {
      try writeWeights(into: &folder, progress: progress)
      for file in config.hubFiles(elementType: elementType) {
        try folder.write(file.content, as: file.name)
      }
      if let tokenizer { try folder.copyTokenizer(from: tokenizer) }
    } catch {
      folder.removeWritten()
      throw error
    }
  }

  private func writeWeights(into folder: inout CheckpointFolder, progress: (Int) -> Void)
    throws(SynthesisError)
  {
    let files = self.files
    var fileOfTensor: [String: String] = [:]
    var done = 0
    for (index, weights) in files.enumerated() {
      let name =
        files.count == 1
        ? "model.safetensors"
        : "model-\(Self.padded(index + 1))-of-\(Self.padded(files.count)).safetensors"
      for weight in weights { fileOfTensor[weight.name] = name }
      try writeFile(at: folder.claim(name), weights) { byteCount in
        done += byteCount
        progress(done)
      }
    }
    guard files.count > 1 else { return }
    let object: [String: Any] = [
      "metadata": ["total_size": byteCount], "weight_map": fileOfTensor,
    ]
    do {
      let index = try JSONSerialization.data(
        withJSONObject: object, options: [.prettyPrinted, .sortedKeys])
      try folder.write(index, as: "model.safetensors.index.json")
    } catch let error as SynthesisError { throw error } catch {
      throw .unwritable(path: "model.safetensors.index.json", reason: "\(error)")
    }
  }

  private func writeFile(
    at path: String, _ weights: [ModelWeight], written: (_ byteCount: Int) -> Void
  ) throws(SynthesisError) {
    do {
      let plans = weights.map {
        SafetensorsWriter.Plan(name: $0.name, elementType: elementType, shape: $0.shape)
      }
      let writer = try SafetensorsWriter(path: path, tensors: plans, metadata: ["format": "pt"])
      var piece = RandomWeights(seed: seed, elementType: elementType, capacity: Self.pieceCount)
      for weight in weights {
        for first in stride(from: 0, to: weight.count, by: Self.pieceCount) {
          let count = min(Self.pieceCount, weight.count - first)
          let bytes = piece.bytes(of: weight, elements: first..<first + count)
          try writer.append(bytes)
          written(bytes.count)
        }
      }
      try writer.finish()
    } catch { throw .checkpoint(error) }
  }

  private static func padded(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}
