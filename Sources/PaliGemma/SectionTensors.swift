import Checkpoints

extension Checkpoint {
  /// The names, in this checkpoint, of all tensors that a section of `blocks` is made of, and of no
  /// others; sorted, each once.
  ///
  /// - Throws: `missingTensor` when one isn't here.
  /// - Precondition: `blocks` is within `config.blocks`.
  public func tensorNames(
    of blocks: Range<Int>, config: ModelConfig
  ) throws(CheckpointError) -> [String] {
    let names = WeightNames(checkpoint: self)
    let isTied = names.isHeadTied
    var found: Set<String> = []
    for block in config.blocks[blocks] {
      var unpacked: Set<String> = []
      for product in Product.all(of: block, config, isTied: isTied) {
        let weights = product.parts.map { $0.name + ".weight" }
        // What a product is made of is not the block's own business any more.
        unpacked.formUnion(weights)
        if contains(product.packedName) {
          found.formUnion(product.packedTensors(bits: 8).map(\.name))
        } else {
          for weight in weights { found.insert(try name(of: weight, names)) }
        }
      }
      for weight in config.weights(of: block) where !unpacked.contains(weight.name) {
        found.insert(try name(of: weight.name, names))
      }
    }
    return found.sorted()
  }

  private func name(
    of weight: String, _ names: WeightNames
  ) throws(CheckpointError) -> String {
    guard let name = names.resolved(weight) else {
      throw .missingTensor(name: weight, directory: directory)
    }
    return name
  }

  /// What a tensor's file has to say of it besides, for `storedPrecision`: how weights are packed.
  public func packingNotes() throws(CheckpointError) -> [String: String] {
    try metadata().filter { $0.key == Self.precisionKey || $0.key == Self.layoutKey }
  }
}
