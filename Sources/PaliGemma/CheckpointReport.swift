import Checkpoints
import Tensors

/// What a checkpoint holds, measured against its `config.json`; no tensor data is touched.
public struct CheckpointReport: Sendable {
  /// One block, or several alike in a row.
  public struct Group: Sendable, Equatable {
    /// What it is called, such as "Gemma layers 0-17".
    public let name: String
    /// Which blocks of `config.blocks` these are.
    public let blocks: Range<Int>
    /// Elements of the tensors found.
    public var parameterCount = 0
    /// Bytes of the tensors found.
    public var byteCount = 0
    /// How they are stored.
    public var elementTypes: Set<ElementType> = []
    /// Share of the model's operations for one picture with 16 prompt and 20 answer tokens.
    public let costShare: Double
  }

  /// The configuration.
  public let config: ModelConfig
  /// All groups, in the order of the pipeline.
  public private(set) var groups: [Group]
  /// The prefixes under which weights were found, such as `language_model.model.`; sorted.
  public private(set) var namePrefixes: [String] = []
  /// Whether the names are those of Google's hub files.
  public private(set) var hasHubNames = true
  /// Files with weights.
  public let fileCount: Int
  /// Whether the head has no table of its own.
  public private(set) var isHeadTied = true
  /// Hub names of weights that no file has.
  public private(set) var missing: [String] = []
  /// Weights found in another shape, an unusable type, or a broken file, each with the reason.
  public private(set) var unsound: [String] = []
  /// How the weights of products are packed; nil in an ordinary checkpoint.
  public private(set) var precision: Precision?
  /// Names of tensors that the model has no use for.
  public private(set) var unexpected: [String] = []

  /// Whether the model can be loaded.
  public var isSound: Bool { missing.isEmpty && unsound.isEmpty }
  /// Elements of all weights found.
  public var parameterCount: Int { groups.reduce(0) { $0 + $1.parameterCount } }
  /// Bytes of all weights found.
  public var byteCount: Int { groups.reduce(0) { $0 + $1.byteCount } }

  /// Looks at headers and the index of `checkpoint`.
  public init(config: ModelConfig, checkpoint: Checkpoint) {
    self.config = config
    fileCount = Set(checkpoint.fileOfTensor.values).count
    groups = Self.emptyGroups(config)
    let names = WeightNames(checkpoint: checkpoint)
    var used: Set<String> = []
    do { precision = try checkpoint.storedPrecision() } catch { unsound.append("\(error)") }
    isHeadTied = names.isHeadTied
    for (index, block) in config.blocks.enumerated() {
      guard let group = groups.firstIndex(where: { $0.blocks.contains(index) }) else { continue }
      let products = precision == nil ? [] : Product.all(of: block, config, isTied: isHeadTied)
      let packed = Set(products.flatMap { product in product.parts.map { $0.name + ".weight" } })
      for product in products { count(product, in: group, checkpoint, &used) }
      for weight in config.weights(of: block) where !packed.contains(weight.name) {
        count(weight.name, shape: weight.shape, in: group, names, &used)
      }
    }
    if !isHeadTied && precision == nil {
      let shape = [config.text.vocabularyCount, config.text.width]
      count(
        "language_model.lm_head.weight", shape: shape, in: groups.count - 1, names, &used)
    }
    namePrefixes = Set(namePrefixes).sorted()
    unexpected = checkpoint.names.filter { !used.contains($0) }
  }

  /// Counts a product's packed weights.
  private mutating func count(
    _ product: Product, in group: Int, _ checkpoint: Checkpoint, _ used: inout Set<String>
  ) {
    for plan in product.packedTensors(bits: precision?.bits ?? 8) {
      used.insert(plan.name)
      guard checkpoint.contains(plan.name) else {
        missing.append(plan.name)
        continue
      }
      do {
        let entry = try checkpoint.entry(plan.name)
        groups[group].byteCount += entry.byteCount
        groups[group].elementTypes.insert(entry.elementType)
        if entry.shape != plan.shape || entry.elementType != plan.elementType {
          unsound.append(
            "\(plan.name): \(entry.elementType) \(entry.shape), expected \(plan.elementType) "
              + "\(plan.shape)")
        }
      } catch { unsound.append("\(plan.name): \(error)") }
    }
    groups[group].parameterCount += product.parts.reduce(0) { $0 + $1.rows } * product.inputs
  }

  private mutating func count(
    _ name: String, shape: [Int], in group: Int, _ names: WeightNames, _ used: inout Set<String>
  ) {
    guard let found = names.resolved(name) else {
      missing.append(name)
      return
    }
    used.insert(found)
    if found != name { hasHubNames = false }
    if let prefix = WeightNames.prefix(of: found, hubName: name) { namePrefixes.append(prefix) }
    do {
      let entry = try names.checkpoint.entry(found)
      groups[group].parameterCount += entry.shape.reduce(1, *)
      groups[group].byteCount += entry.byteCount
      groups[group].elementTypes.insert(entry.elementType)
      if entry.shape != shape {
        unsound.append("\(found): its shape is \(entry.shape), expected \(shape)")
      } else if ![.f32, .f16, .bf16].contains(entry.elementType) {
        unsound.append("\(found): its element type \(entry.elementType) is no float")
      }
    } catch { unsound.append("\(found): \(error)") }
  }

  private static func emptyGroups(_ config: ModelConfig) -> [Group] {
    let blocks = config.blocks
    let costs = blocks.map { config.operations(of: $0) }
    let total = max(costs.reduce(0, +), 1)
    var spans: [(String, Range<Int>)] = [("patch embedding", 0..<1)]
    let projector = config.vision.layerCount + 1
    spans.append(("SigLIP layers 0-\(config.vision.layerCount - 1)", 1..<projector))
    spans.append(("projector", projector..<projector + 1))
    spans.append(
      ("token embedding", config.tokenEmbeddingIndex..<config.tokenEmbeddingIndex + 1))
    spans.append(
      (
        "Gemma layers 0-\(config.text.layerCount - 1)", config.firstDecoderIndex..<config.headIndex
      ))
    spans.append(("head", config.headIndex..<config.headIndex + 1))
    return spans.map { name, range in
      Group(name: name, blocks: range, costShare: costs[range].reduce(0, +) / total)
    }
  }
}
