import CKernels
import Checkpoints
import Foundation
import Tensors

/// Writes the folder that is loaded everywhere, with the Hub's names, from a PaliGemma in GGUF: the text
/// model and the vision half, as llama.cpp has them. Memory stays bounded: some tens of megabytes.
public struct GGUFImport {
  /// Elements converted at a time: whole blocks of every type, 4 MB as f32.
  static let pieceCount = 1 << 20

  /// What is done with a weight's numbers.
  private enum Change: Equatable {
    case none
    /// Gemma's norms multiply by 1 + w; llama.cpp stores that sum.
    case minusOne
    case times(Float)
  }
  private struct Source {
    let plan: SafetensorsWriter.Plan
    let file: GGUFFile
    let name: String
    let change: Change
  }

  /// The model's numbers, by the files' metadata.
  public let config: ModelConfig
  /// Bytes of all weights on disk.
  public var byteCount: Int { sources.reduce(0) { $0 + $1.plan.byteCount } }
  private let sources: [Source]
  private let elementType: ElementType?
  private let tokenizerFolder: String?
  private let tokenizer: GGUFTokenizer?

  /// Plans the checkpoint; nothing is written.
  ///
  /// - Parameters:
  ///   - text: the text model, architecture `gemma`.
  ///   - projector: the vision tower and the projector, architecture `clip`.
  ///   - elementType: how weights are stored: f32, bf16 or f16; nil keeps floats as they are, and stores blocks as bf16.
  ///   - tokenizer: a folder whose tokenizer files are taken; nil makes them from the metadata.
  ///   - isProjectorScaled: whether the projector has 1/√D in it, for readers that multiply all rows by √D
  ///     and not those of tokens only.
  /// - Throws: what is missing, of another shape, not supported, or has no place in the model.
  public init(
    text: GGUFFile, projector: GGUFFile, elementType: ElementType? = nil, tokenizer: String? = nil,
    isProjectorScaled: Bool = false
  ) throws(SynthesisError) {
    if let elementType, ![.f32, .bf16, .f16].contains(elementType) {
      throw .elementType("\(elementType)")
    }
    if let tokenizer,
      !FileManager.default.fileExists(atPath: tokenizer + "/" + CheckpointFolder.tokenizerFiles[0])
    {
      throw .noTokenizer(directory: tokenizer)
    }
    config = try ModelConfig(text: text, projector: projector)
    self.elementType = elementType
    tokenizerFolder = tokenizer
    self.tokenizer = tokenizer == nil ? try GGUFTokenizer(text) : nil
    let scale = isProjectorScaled ? Float(config.text.width).squareRoot() : nil
    do {
      sources = try Self.sources(
        text: text, projector: projector, config: config, elementType: elementType, scale: scale)
    } catch { throw .checkpoint(error) }
  }

  private static func sources(
    text: GGUFFile, projector: GGUFFile, config: ModelConfig, elementType: ElementType?,
    scale: Float?
  ) throws(CheckpointError) -> [Source] {
    let names = GGUFNames(projector: projector, config: config.vision)
    var weights = config.weights
    if text.entries["output.weight"] != nil {
      weights.append(
        ModelWeight(
          name: "language_model.lm_head.weight",
          shape: [config.text.vocabularyCount, config.text.width], role: .embedding,
          block: .languageHead))
    }
    var sources: [Source] = []
    for weight in weights {
      let isText = weight.name.hasPrefix("language_model.")
      let file = isText ? text : projector
      let candidates = names.candidates(weight.name)
      guard let name = candidates.first(where: { file.entries[$0] != nil }),
        let entry = file.entries[name]
      else { throw .missingTensor(name: candidates.first ?? weight.name, directory: file.path) }
      guard entry.shape == weight.shape else {
        throw .mismatch(
          name: name,
          reason: "its shape in \(file.path) is \(entry.shape), expected \(weight.shape)")
      }
      guard entry.type.isReadable else {
        throw .mismatch(name: name, reason: "its type \(entry.type) can't be expanded")
      }
      let isProjector = weight.name.hasPrefix("multi_modal_projector.")
      let change: Change =
        weight.role == .rmsNorm
        ? .minusOne : isProjector ? scale.map { .times($0) } ?? .none : .none
      // A norm's small w has more digits than 1 + w in sixteen bits.
      let stored = change == .none ? entry.type.elementType ?? .bf16 : .f32
      sources.append(
        Source(
          plan: SafetensorsWriter.Plan(
            name: weight.name, elementType: elementType ?? stored, shape: weight.shape),
          file: file, name: name, change: change))
    }
    try refuseOthers(text, Set(sources.map(\.name)))
    try refuseOthers(projector, Set(sources.map(\.name)))
    return sources
  }

  /// A tensor without a place would mean that the file's model computes something that this one doesn't.
  private static func refuseOthers(_ file: GGUFFile, _ used: Set<String>) throws(CheckpointError) {
    guard let other = file.entries.keys.filter({ !used.contains($0) }).min() else { return }
    throw .malformed(path: file.path, reason: "it holds '\(other)', which no PaliGemma has")
  }

  /// Writes the folder, which is made when it is missing; on failure what was written is removed.
  ///
  /// - Parameters:
  ///   - directory: holds no checkpoint yet.
  ///   - progress: told the bytes of weights written so far.
  /// - Throws: when the folder has a checkpoint or too little room, or writing fails.
  public func write(
    to directory: String, progress: (_ byteCount: Int) -> Void = { _ in }
  ) throws(SynthesisError) {
    var folder = try CheckpointFolder(directory: directory, neededByteCount: byteCount)
    do {
      try writeWeights(at: folder.claim("model.safetensors"), progress)
      for file in config.hubFiles(elementType: elementType ?? .bf16) + (tokenizer?.files ?? []) {
        try folder.write(file.content, as: file.name)
      }
      if let tokenizerFolder { try folder.copyTokenizer(from: tokenizerFolder) }
    } catch {
      folder.removeWritten()
      throw error
    }
  }

  private func writeWeights(
    at path: String, _ progress: (_ byteCount: Int) -> Void
  ) throws(SynthesisError) {
    do {
      let writer = try SafetensorsWriter(
        path: path, tensors: sources.map(\.plan), metadata: ["format": "pt"])
      var done = 0
      for source in sources {
        let count = source.plan.shape.reduce(1, *)
        for first in stride(from: 0, to: count, by: Self.pieceCount) {
          let bytes = try Self.bytes(of: source, first..<min(count, first + Self.pieceCount))
          try writer.append(bytes)
          done += bytes.count
          progress(done)
        }
      }
      try writer.finish()
    } catch { throw .checkpoint(error) }
  }

  /// Some elements as the new file holds them.
  private static func bytes(of source: Source, _ elements: Range<Int>) throws(CheckpointError)
    -> Data
  {
    let type = source.plan.elementType
    if source.change == .none, let tensor = source.file.tensor(source.name),
      tensor.elementType == type
    {
      let size = type.byteCount
      return tensor.withBytes {
        Data($0[elements.lowerBound * size..<elements.upperBound * size])
      }
    }
    var floats = try source.file.floats(of: source.name, elements)
    if source.change != .none {
      // They may be the file's own memory.
      floats = floats.copied()
      floats.withFloats { numbers in
        for index in 0..<elements.count {
          switch source.change {
          case .none: break
          case .minusOne: numbers[index] -= 1
          case .times(let factor): numbers[index] *= factor
          }
        }
      }
    }
    guard type != .f32 else { return floats.withBytes { Data($0) } }
    var halves = [UInt16](repeating: 0, count: elements.count)
    floats.withFloats { numbers in
      if type == .bf16 {
        kernel_convert_f32_bf16(elements.count, numbers, &halves)
      } else {
        kernel_convert_f32_f16(elements.count, numbers, &halves)
      }
    }
    return halves.withUnsafeBytes { Data($0) }
  }
}
