import Checkpoints
import Tensors

/// The weights and the arithmetic of a contiguous range of blocks: the whole model, or the part of
/// it that a stage computes.
///
/// Immutable after loading; used by one thread at a time, since the caches it writes to are.
public final class ModelSection {
  /// The model's numbers.
  public let config: ModelConfig
  /// Which blocks of `config.blocks` these are.
  public let blocks: Range<Int>

  /// Bytes of the checkpoint that these blocks use.
  public let weightByteCount: Int

  private enum Part {
    case patches(PatchEmbedding)
    case vision(VisionLayer)
    case projector(Projector)
    case tokens(TokenEmbedding)
    case decoder(DecoderLayer, cacheIndex: Int)
    case head(LanguageHead)
  }
  private let parts: [Part]
  private let precision: Precision

  /// Maps and converts the weights of `blocks`, and no others.
  ///
  /// Products are computed in `precision`, which must be the checkpoint's own where that is
  /// quantised (`Checkpoint.storedPrecision`); embeddings, norms and attention always in f32.
  ///
  /// - Precondition: `blocks` is not empty and within `config.blocks`.
  public init(
    config: ModelConfig, checkpoint: Checkpoint, blocks: Range<Int>,
    precision: Precision = .f32
  )
    throws(CheckpointError)
  {
    self.config = config
    self.blocks = blocks
    self.precision = precision
    try checkpoint.requirePrecision(precision)
    let names = WeightNames(checkpoint: checkpoint, precision: precision)
    let firstLayer = config.decoderLayers(in: blocks).lowerBound
    var parts: [Part] = []
    for block in config.blocks[blocks] {
      switch block {
      case .patchEmbedding: parts.append(.patches(try PatchEmbedding(names, config.vision)))
      case .visionLayer(let layer):
        parts.append(.vision(try VisionLayer(names, config.vision, layer: layer)))
      case .projector: parts.append(.projector(try Projector(names, config)))
      case .tokenEmbedding: parts.append(.tokens(try TokenEmbedding(names, config)))
      case .decoderLayer(let layer):
        parts.append(
          .decoder(
            try DecoderLayer(names, config.text, layer: layer), cacheIndex: layer - firstLayer))
      case .languageHead: parts.append(.head(try LanguageHead(names, config.text)))
      }
    }
    self.parts = parts
    weightByteCount = names.tally.byteCount
  }

  /// Whether a row's bits don't depend on the rows beside it, so that an answer's tokens may be gone
  /// through again many at a time.
  public var isExact: Bool { precision.bits != nil || Kernels.rowsAreExact }

  /// The decoder layers this section computes.
  public var decoderLayers: Range<Int> { config.decoderLayers(in: blocks) }
  /// Whether the section starts from pixels.
  public var takesPixels: Bool { blocks.lowerBound == 0 }
  /// Whether the section ends in logits.
  public var givesLogits: Bool { blocks.upperBound == config.blockCount }
  /// Whether the section has the token embedding, where an answer's tokens come in.
  public var takesTokens: Bool { blocks.contains(config.tokenEmbeddingIndex) }

  /// Makes an empty cache for one request; nil when the section has no decoder layer.
  public func makeCache(capacity: Int) -> KVCache? {
    decoderLayers.isEmpty
      ? nil
      : KVCache(layerCount: decoderLayers.count, capacity: capacity, config: config.text)
  }

  /// Computes all blocks of the section.
  ///
  /// - Parameters:
  ///   - input: pixels `[pictures, side, side, 3]` u8 where the section `takesPixels`, else the
  ///     hidden rows f32 of the section before; nil when a micro-batch of suffixes comes in at the
  ///     token embedding. Not modified.
  ///   - sequences: whose rows they are, in order; caches with room for the rows.
  ///   - visionCache: rows of pictures seen before, of this section; nil computes all.
  ///   - observe: called after each block with its index and its rows, for tests.
  /// - Returns: hidden rows for the next section, or logits `[sequences, V]`.
  public func forward(
    _ input: Tensor?, sequences: [SequenceRows], visionCache: VisionCache? = nil,
    observe: ((_ block: Int, _ rows: Tensor) -> Void)? = nil
  ) -> Tensor {
    // Layers add to the residual stream in place: never in memory that came from elsewhere.
    var x =
      input.map { takesPixels ? $0 : $0.copied() } ?? Tensor(rows: 0, width: config.text.width)
    let positions = self.positions(of: sequences)
    // Suffixes have no vision rows: they enter at the token embedding.
    let pictureCount = sequences.reduce(0) { $0 + $1.imageCount }
    if let visionCache, pictureCount > 0, visionPartCount > 0 {
      x = visionCache.rows(of: x, pictureCount: pictureCount) { visionRows($0, observe: observe) }
    } else if pictureCount > 0 {
      x = visionRows(x, observe: observe)
    }
    // Whether x has the sequences' last rows only.
    var isLast = false
    var scratch: LayerScratch?
    for (offset, part) in parts.enumerated().dropFirst(visionPartCount) {
      switch part {
      case .patches, .vision, .projector: continue
      case .tokens(let embed):
        x = embed(images: pictureCount > 0 ? x : nil, sequences: sequences)
      case .decoder(let layer, let cacheIndex):
        // Nobody reads the last layer's other rows: 5 % of a prefill of Gemma 2B. An observer does.
        isLast = observe == nil && layer.isExact && isBeforeHead(offset)
        let room = scratch ?? LayerScratch(rows: x.rowCount, config.text)
        scratch = room
        x = layer(
          x, sequences: sequences, positions: positions, cacheIndex: cacheIndex, scratch: room,
          onlyLast: isLast)
      case .head(let head): x = head(isLast ? x : x.lastRows(of: sequences))
      }
      observe?(blocks.lowerBound + offset, x)
    }
    for sequence in sequences { sequence.cache?.advance(by: sequence.rowCount) }
    return x
  }

  /// Computes the vision blocks: pixels or rows of whole pictures in, rows out.
  private func visionRows(
    _ input: Tensor, observe: ((_ block: Int, _ rows: Tensor) -> Void)?
  ) -> Tensor {
    var x = input
    var scratch: LayerScratch?
    for (offset, part) in parts.prefix(visionPartCount).enumerated() {
      switch part {
      case .patches(let embed): x = embed(x)
      case .vision(let layer):
        let room = scratch ?? LayerScratch(rows: x.rowCount, config.vision)
        scratch = room
        layer(x, scratch: room)
      case .projector(let project): x = project(x)
      case .tokens, .decoder, .head: continue
      }
      observe?(blocks.lowerBound + offset, x)
    }
    return x
  }

  /// How many of the section's blocks, its first ones, work on pictures alone.
  public var visionPartCount: Int {
    max(0, min(config.tokenEmbeddingIndex, blocks.upperBound) - blocks.lowerBound)
  }

  /// Whether the part after `offset` is the head.
  private func isBeforeHead(_ offset: Int) -> Bool {
    if offset + 1 < parts.count, case .head = parts[offset + 1] { true } else { false }
  }

  /// 1-based positions of all rows behind the token embedding; empty without decoder layers.
  private func positions(of sequences: [SequenceRows]) -> [Int32] {
    guard !decoderLayers.isEmpty else { return [] }
    var positions: [Int32] = []
    positions.reserveCapacity(sequences.reduce(0) { $0 + $1.rowCount })
    for sequence in sequences {
      let first = Int32(sequence.cache?.tokenCount ?? 0) + 1
      for row in 0..<Int32(sequence.rowCount) { positions.append(first + row) }
    }
    return positions
  }
}
