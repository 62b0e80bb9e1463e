import Tensors

/// What a worker without files of the model and whoever has them say to each other.
public enum ModelMessage: Sendable, Equatable {
  /// Worker: what do I need?
  case manifestRequest(ManifestRequest)
  /// Worker: give me this chunk.
  case chunkRequest(ChunkRequest)
  /// This is what you need.
  case manifest(Manifest)
  /// These are its bytes.
  case chunk(ChunkRequest, Frame)
  /// You can't have it.
  case refusal(Failure)
}

/// A worker asks what its stage is made of.
public struct ManifestRequest: Sendable, Equatable {
  /// Of the model's configuration.
  public var fingerprint: String
  /// The blocks of the model's chain.
  public var blocks: Range<Int>
  /// Makes the question.
  public init(fingerprint: String, blocks: Range<Int>) {
    self.fingerprint = fingerprint
    self.blocks = blocks
  }
}

/// Names one chunk of a tensor.
public struct ChunkRequest: Sendable, Hashable {
  /// The tensor's hash.
  public var tensor: [UInt8]
  /// Which chunk, from 0.
  public var chunk: Int
  /// Makes the request.
  public init(tensor: [UInt8], chunk: Int) {
    self.tensor = tensor
    self.chunk = chunk
  }
}

/// What some blocks of a model are made of.
public struct Manifest: Sendable, Equatable {
  /// One tensor of it.
  public struct Entry: Sendable, Equatable {
    /// The name in the checkpoint.
    public var name: String
    /// How one element is stored.
    public var elementType: ElementType
    /// The extents, outermost first.
    public var shape: [Int]
    /// The hashes of its chunks, one behind the other.
    public var hashes: [UInt8]
    /// Makes an entry.
    public init(name: String, elementType: ElementType, shape: [Int], hashes: [UInt8]) {
      self.name = name
      self.elementType = elementType
      self.shape = shape
      self.hashes = hashes
    }
  }

  /// The blocks of the model's chain.
  public var blocks: Range<Int>
  /// `config.json`.
  public var configuration: [UInt8]
  /// `generation_config.json`; empty for none.
  public var generation: [UInt8]
  /// What the header of the weights' file says of how they are packed.
  public var notes: [String: String]
  /// All tensors.
  public var tensors: [Entry]
  /// Makes a manifest.
  public init(
    blocks: Range<Int>, configuration: [UInt8], generation: [UInt8], notes: [String: String],
    tensors: [Entry]
  ) {
    self.blocks = blocks
    self.configuration = configuration
    self.generation = generation
    self.notes = notes
    self.tensors = tensors
  }
}
