import Checkpoints
import Foundation
import Messaging
import PaliGemma
import Tensors

/// A model's folder as others may have it: what its blocks are made of, and the bytes of that by hash.
/// Tensors are hashed when they are first asked for. Nothing but tensors and two configuration files
/// can be had.
struct ModelSource: Sendable {
  private let directory: String
  private let config: ModelConfig
  private var checkpoint: Checkpoint?
  private var notes: [String: String] = [:]
  private var known: [String: SharedTensor] = [:]
  private var nameOfHash: [[UInt8]: String] = [:]
  /// The manifest that it came by, where it is no folder but what a worker has fetched.
  private var fetched: Manifest?

  /// What a worker has fetched by `manifest`: `tensors`, in its cache.
  init(config: ModelConfig, cache: Checkpoint, tensors: [SharedTensor], by manifest: Manifest) {
    self.init(directory: cache.directory, config: config)
    checkpoint = cache
    notes = manifest.notes
    for tensor in tensors {
      known[tensor.name] = tensor
      nameOfHash[tensor.hash.bytes] = tensor.name
    }
    fetched = manifest
  }

  init(directory: String, config: ModelConfig) {
    self.directory = directory
    self.config = config
  }

  /// The code of a refusal: the files aren't what they were when they were hashed.
  static let modelChanged = "model_changed"
  /// The code of a refusal: nobody has asked for a manifest with this tensor here.
  static let unknownTensor = "unknown_tensor"

  /// What some blocks are made of.
  ///
  /// - Returns: nil while there are tensors left to hash; each call hashes one.
  mutating func answer(to request: ManifestRequest) -> ModelMessage? {
    guard request.fingerprint == config.fingerprint,
      request.blocks.clamped(to: 0..<config.blockCount) == request.blocks, !request.blocks.isEmpty
    else {
      return .refusal(
        Failure(
          code: "other_model",
          message: "blocks \(request.blocks) of model \(request.fingerprint) are not to be had here"
        ))
    }
    if let fetched {
      // All there is: whoever asks takes what it needs.
      return .manifest(
        Manifest(
          blocks: request.blocks, configuration: fetched.configuration,
          generation: fetched.generation, notes: notes, tensors: fetched.tensors))
    }
    do {
      let checkpoint = try opened()
      let names = try checkpoint.tensorNames(of: request.blocks, config: config)
      if let next = names.first(where: { known[$0] == nil }) {
        try hash(next, in: checkpoint)
        return nil
      }
      return .manifest(try manifest(request.blocks, names))
    } catch {
      return .refusal(
        Failure(code: "model_unreadable", message: "the model can't be given: \(error)")
      )
    }
  }

  /// The bytes of a chunk.
  func answer(to request: ChunkRequest) -> ModelMessage {
    guard let name = nameOfHash[request.tensor], let tensor = known[name],
      tensor.chunks.indices.contains(request.chunk),
      let checkpoint
    else {
      return .refusal(
        Failure(code: Self.unknownTensor, message: "no such chunk; ask for the manifest again"))
    }
    do throws(CheckpointError) {
      // Read, not mapped: a file that somebody cuts off must not end the coordinator.
      let bytes = try checkpoint.bytes(of: name, tensor.range(ofChunk: request.chunk))
      return .chunk(request, Frame(storage: bytes))
    } catch {
      return .refusal(
        Failure(code: Self.modelChanged, message: "the model can't be given: \(error)"))
    }
  }

  private mutating func opened() throws -> Checkpoint {
    if let checkpoint { return checkpoint }
    let opened = try Checkpoint(directory: directory)
    notes = try opened.packingNotes()
    checkpoint = opened
    return opened
  }

  private mutating func hash(_ name: String, in checkpoint: Checkpoint) throws {
    guard
      let shared = try SharedTensor(name: name, of: checkpoint, notes: notes)
    else {
      throw CheckpointError.malformed(path: directory, reason: "'\(name)' has no bytes")
    }
    known[name] = shared
    nameOfHash[shared.hash.bytes] = name
  }

  private func manifest(_ blocks: Range<Int>, _ names: [String]) throws -> Manifest {
    func content(_ file: String) throws -> [UInt8] {
      [UInt8](try Data(contentsOf: URL(filePath: directory + "/" + file)))
    }
    let hasGeneration = FileManager.default.fileExists(
      atPath: directory + "/generation_config.json")
    return Manifest(
      blocks: blocks, configuration: try content("config.json"),
      generation: hasGeneration ? try content("generation_config.json") : [], notes: notes,
      tensors: names.compactMap { known[$0] }.map {
        Manifest.Entry(
          name: $0.name, elementType: $0.elementType, shape: $0.shape,
          hashes: $0.chunks.flatMap(\.bytes))
      })
  }
}

extension Manifest {
  /// Bytes of all tensors.
  var byteCount: Int {
    tensors.reduce(0) { $0 + (Tensor.byteCount($1.elementType, shape: $1.shape) ?? 0) }
  }
}
