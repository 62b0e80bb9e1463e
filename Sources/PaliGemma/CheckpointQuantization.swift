import Checkpoints
import Foundation
import Tensors

/// Writes a checkpoint whose products have packed integer weights, so that loading it is a map.
///
/// One safetensors file: per product `<name>.packed` (u8), `<name>.scales` (f32) and `<name>.sums`
/// (i32), named after the first of the weights it is made of; everything else as it was. Memory
/// stays bounded: some tens of megabytes, whatever the model's size.
public struct CheckpointQuantization {
  /// Weights quantised at a time: 64 MB as f32.
  static let pieceCount = 1 << 24

  private let source: Checkpoint
  private let config: ModelConfig
  private let precision: Precision
  private let names: WeightNames
  private let products: [Product]
  private let others: [(name: String, stored: String)]

  /// Plans the checkpoint; nothing is written.
  ///
  /// - Throws: when `precision` is none of integers, the source is quantised already, or it lacks a
  ///   weight.
  public init(source: Checkpoint, config: ModelConfig, precision: Precision)
    throws(CheckpointError)
  {
    if let stored = try source.storedPrecision() {
      throw .precision(
        directory: source.directory, stored: stored.rawValue, asked: precision.rawValue)
    }
    self.source = source
    self.config = config
    self.precision = precision
    names = WeightNames(checkpoint: source, precision: precision)
    let isTied = names.isHeadTied
    products = config.blocks.flatMap { Product.all(of: $0, config, isTied: isTied) }
    // The table of a tied head is read twice: packed by the head, row by row by the embedding.
    let packed = Set(
      products.flatMap { product in product.parts.map { $0.name + ".weight" } }
        .filter { $0 != "language_model.model.embed_tokens.weight" })
    var others: [(name: String, stored: String)] = []
    for weight in config.weights where !packed.contains(weight.name) {
      guard let stored = names.resolved(weight.name) else {
        throw .missingTensor(name: weight.name, directory: source.directory)
      }
      others.append((weight.name, stored))
    }
    self.others = others
  }

  /// Writes the checkpoint into `directory`, which is made when it is missing; on failure what was
  /// written is removed.
  ///
  /// - Parameters:
  ///   - directory: holds no checkpoint yet.
  ///   - progress: told the bytes written so far, and how many there will be.
  /// - Throws: when the folder has a checkpoint or too little room, or writing fails.
  public func write(
    to directory: String, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  )
    throws(SynthesisError)
  {
    let plans: [SafetensorsWriter.Plan]
    do { plans = try self.plans() } catch { throw .checkpoint(error) }
    let total = plans.reduce(0) { $0 + $1.byteCount }
    var folder = try CheckpointFolder(directory: directory, neededByteCount: total)
    do {
      try folder.copyConfiguration(from: source.directory)
      try folder.copyTokenizer(from: source.directory)
      try writeFile(at: folder.claim("model.safetensors"), plans) { progress($0, total) }
    } catch {
      folder.removeWritten()
      throw error
    }
  }

  private func writeFile(
    at path: String, _ plans: [SafetensorsWriter.Plan], written: (_ byteCount: Int) -> Void
  ) throws(SynthesisError) {
    do {
      let writer = try SafetensorsWriter(
        path: path, tensors: plans,
        metadata: [
          "format": "pt", Checkpoint.precisionKey: precision.rawValue,
          Checkpoint.layoutKey: Checkpoint.layout,
        ])
      var done = 0
      try writeWeights { bytes throws(CheckpointError) in
        try writer.append(bytes)
        done += bytes.count
        written(done)
      }
      try writer.finish()
    } catch { throw .checkpoint(error) }
  }

  private func plans() throws(CheckpointError) -> [SafetensorsWriter.Plan] {
    var plans = products.flatMap { $0.packedTensors(bits: precision.bits ?? 8) }
    for other in others {
      let entry = try source.entry(other.stored)
      plans.append(
        SafetensorsWriter.Plan(
          name: other.name, elementType: entry.elementType, shape: entry.shape))
    }
    return plans
  }

  private func writeWeights(
    _ append: (Data) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    for product in products {
      var (scales, sums) = (Data(), Data())
      for piece in try pieces(of: product) {
        guard
          let weights = QuantizedWeights(
            quantizing: piece, bits: precision.bits ?? 8, isGated: product.isGated)
        else { throw .mismatch(name: product.name, reason: "it can't be read as floats") }
        try append(weights.packed.withBytes { Data($0) })
        scales += weights.scales.withBytes { Data($0) }
        sums += weights.sums.withBytes { Data($0) }
      }
      try append(scales)
      try append(sums)
    }
    for other in others {
      let tensor = try source.tensor(other.stored)
      for first in stride(from: 0, to: tensor.byteCount, by: Self.pieceCount) {
        try append(
          tensor.withBytes { Data($0[first..<min($0.count, first + Self.pieceCount)]) })
      }
    }
  }

  /// The weights of a product, cut where panels end, so that packed pieces are the packed whole.
  /// Products of several weights that are not gated are small, and one piece.
  private func pieces(of product: Product) throws(CheckpointError) -> [[Tensor]] {
    let parts = try names.parts(of: product)
    guard parts.count == 1 || product.isGated, let rowCount = parts.first?.rowCount else {
      return [parts]
    }
    let step = max(1, Self.pieceCount / product.inputs / parts.count / 32) * 32
    return stride(from: 0, to: rowCount, by: step).map { first in
      parts.map { $0.rows(first..<min(rowCount, first + step)) }
    }
  }
}
